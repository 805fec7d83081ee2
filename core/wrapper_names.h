// SPDX-License-Identifier: BSD-2-Clause
//
// The names of allocation wrappers, in groups, each with its reason: words between spaces, `*` stands for any text. A
// compiler's suffix (".part.0") is cut off first, and `_ZNK` (a const member) reads as `_ZN`. Not here on purpose:
// functions that make an object of their own kind (fopen, regcomp, g_object_new): their name is what people recognise.
#pragma once

namespace m9 {

constexpr char wrapper_names[] =
    // Names that say it themselves, whoever wrote them: x*alloc, zmalloc, uv__malloc, av_realloc, json_strdup...
    "*malloc *calloc *realloc *reallocarray *memalign *aligned_alloc *mallocz *callocz *zalloc *malloc0 *calloc0 "
    "*malloc_n *malloc0_n *realloc_n *realloc_array *mallocarray *malloc_array *calloc_array *reallocf *malloc_usable "
    "*calloc_usable *realloc_usable *recalloc *Malloc *Calloc *Realloc *MALLOC *CALLOC *REALLOC *strdup *strndup "
    "*wcsdup *memdup *memdup0 *memdup2 *memdupz *Strdup *StrDup *strdup_f x*alloc x*mallocz x*dup x*asprintf "
    "x*2nrealloc xmalloc_* *_malloc_or_die *_xmalloc_* "
    // libc: the result belongs to the caller, who says how much by what it passes. The leading underscores are its
    // inner names for the same functions.
    "getline __getline getdelim __getdelim _IO_getdelim asprintf __asprintf* vasprintf __vasprintf* open_memstream "
    "open_wmemstream getcwd __getcwd get_current_dir_name realpath __realpath* canonicalize_file_name tempnam argz_* "
    "__argz_* envz_* tsearch __tsearch valloc pvalloc obstack_* _obstack_* "
    // C++'s operators new, where a program or a library has its own, and those of a class.
    "_Znw* _Zna* _ZN*nwEm* _ZN*naEm* "
    // The memory of an exception is its thrower's; a demangled name its reader's.
    "__cxa_allocate_exception __cxa_demangle __cxa_vec_new* "
    // libstdc++: members of strings and containers that the compiler left out of line, allocators, and what owns one
    // object. Not here: _Function_handler, __invoke and algorithms, into which the caller's own code is inlined.
    "_ZNSt7__cxx1112basic_string* _ZNSs* _ZNSbIw* _ZNSt*basic_stringbuf* _ZNSt*stringstream* _ZNSt6vectorI* "
    "_ZNSt12_Vector_baseI* _ZNSt5dequeI* _ZNSt11_Deque_baseI* _ZNSt7__cxx114listI* _ZNSt7__cxx1110_List_baseI* "
    "_ZNSt12forward_listI* _ZNSt14_Fwd_list_base* _ZNSt3mapI* _ZNSt8multimapI* _ZNSt3setI* _ZNSt8multisetI* "
    "_ZNSt8_Rb_treeI* _ZNSt10_HashtableI* _ZNSt13unordered_mapI* _ZNSt13unordered_setI* _ZNSt18unordered_multi* "
    "_ZNSt8__detail*_Map_baseI* _ZNSt8__detail*_Hashtable_allocI* _ZNSt8__detail*_ReuseOrAllocNode* "
    "_ZNSt8__detail*_AllocNode* _ZNSt8__detail*_InsertI* _ZNSt8__detail*_Insert_base* _ZNSt15__new_allocatorI* "
    "_ZNSaI* _ZN9__gnu_cxx13new_allocatorI* _ZN9__gnu_cxx14__alloc_traits* _ZNSt16allocator_traits* _ZNSt8functionI* "
    "_ZNSt14_Function_base* _ZNSt10shared_ptrI* _ZNSt12__shared_ptrI* _ZNSt14__shared_count* _ZSt11make_uniqueI* "
    "_ZSt11make_sharedI* _ZSt15allocate_shared* _ZStplI*basic_string* _ZSt7getlineI* _ZStrsI*basic_string* "
    "_ZNSt3anyC* _ZNSt10valarrayI* _ZNSt*_Temporary_buffer* _ZSt20get_temporary_buffer* _ZN9__gnu_cxx12__to_xstringI* "
    "_ZNSt7__cxx119to_string* _ZNSt8bitsetI* _ZNSt*uninitialized_copy* _ZSt*__uninitialized_* _ZSt*__do_uninit_* "
    // libc++: the same.
    "_ZNSt3__112basic_string* _ZNSt3__16vectorI* _ZNSt3__15dequeI* _ZNSt3__14listI* _ZNSt3__13mapI* _ZNSt3__13setI* "
    "_ZNSt3__16__treeI* _ZNSt3__112__hash_tableI* _ZNSt3__113unordered_* _ZNSt3__114__split_buffer* "
    "_ZNSt3__19allocatorI* _ZNSt3__110shared_ptrI* _ZNSt3__18functionI* _ZNSt3__1pl*basic_string* "
    // GLib: memory and strings for the caller, and the arrays, strings and lists that grow for theirs.
    "g_malloc* g_try_malloc* g_realloc* g_try_realloc* g_strdup* g_strndup* g_strconcat g_strjoin* g_strnfill "
    "g_strescape g_strcompress g_strsplit* g_vasprintf g_slice_* g_aligned_alloc* g_memdup* g_str*_new* g_string_* "
    "g_array_* g_ptr_array_* g_byte_array_* g_list_* g_slist_* g_queue_* g_hash_table_insert* g_hash_table_add "
    "g_hash_table_replace g_hash_table_new* g_ascii_strdown g_ascii_strup g_utf8_* g_bytes_new* g_rc_box_* "
    "g_atomic_rc_box_* g_build_* g_data_set_* g_data_list_* g_datalist_* "
    // Perl: safesys* under everything; strings, arrays and copies of values grow for the op that needs them.
    "Perl_safesys* Perl_sv_grow* Perl_sv_setpv* Perl_sv_catpv* Perl_sv_catsv* Perl_sv_setsv* Perl_sv_mortalcopy* "
    "Perl_sv_insert* Perl_sv_vcatpv* Perl_sv_vsetpv* Perl_newSV* Perl_savepv* Perl_savesv* Perl_savesharedpv* "
    "Perl_av_extend* Perl_av_store Perl_av_push Perl_sv_2pv* Perl_sv_upgrade Perl_sv_setiv* Perl_sv_setnv* "
    "Perl_sv_setuv* Perl_savestack_grow* "
    // Python: the memory API, and what gives every object of every type its memory.
    "PyMem_* _PyMem_* PyObject_Malloc PyObject_Calloc PyObject_Realloc _PyObject_Malloc _PyObject_Calloc "
    "_PyObject_Realloc _PyObject_New* PyObject_New* _PyObject_GC_* PyObject_GC_* _PyObject_DebugMalloc* "
    "PyType_GenericAlloc _PyType_AllocNoTrack PyType_GenericNew _PyBytes_FromSize PyBytes_FromStringAndSize "
    "_PyBytes_Resize PyUnicode_New PyUnicode_FromStringAndSize _PyUnicode_Resize _PyUnicode_FromASCII PyTuple_New "
    "PyList_New PyDict_New "
    // SQLite: its layers above malloc, and values and strings that grow for an opcode.
    "sqlite3Malloc* sqlite3_malloc* sqlite3Realloc* sqlite3_realloc* sqlite3DbMalloc* sqlite3DbRealloc* "
    "sqlite3DbStr*Dup* sqlite3MemMalloc sqlite3MemRealloc sqlite3PageMalloc sqlite3ScratchMalloc "
    "sqlite3StrAccumEnlarge* sqlite3_str_append* sqlite3_str_vappendf sqlite3_str_finish sqlite3StrAccum* "
    "sqlite3MPrintf sqlite3VMPrintf sqlite3_mprintf sqlite3_vmprintf sqlite3VdbeMemGrow sqlite3VdbeMemClearAndResize "
    "sqlite3VdbeMemMakeWriteable sqlite3VdbeMemSetStr sqlite3VdbeMemStringify sqlite3ArrayAllocate "
    // redis and what shares its strings.
    "zmalloc* ztrymalloc* zcalloc* ztrycalloc* zrealloc* ztryrealloc* zstrdup sds* _sdsnewlen hi_malloc hi_calloc "
    "hi_realloc hi_strdup hi_sds* "
    "createEmbeddedStringObject createRawStringObject tryCreateRawStringObject createStringObject "
    "tryCreateStringObject createStringObjectFromLongLong* dupStringObject "
    // OpenSSL and its forks.
    "CRYPTO_*alloc* CRYPTO_*dup OPENSSL_*alloc* OPENSSL_*dup OPENSSL_sk_* OPENSSL_LH_* BUF_*dup BUF_MEM_grow* "
    "bn_expand* "
    "bn_wexpand ASN1_STRING_set ASN1_STRING_dup ASN1_STRING_type_new BIO_*asprintf "
    // ffmpeg, APR, talloc, krb5, libxml2, ICU, libuv, curl, postgres, BDB.
    "av_*alloc* av_*dup av_fast_* av_buffer_alloc* apr_palloc* apr_pcalloc* apr_pstr* apr_pmem* apr_psprintf "
    "apr_pvsprintf talloc_* _talloc* tevent_*alloc k5alloc* xmlStr*dup xmlBufferGrow* xmlBufGrow* uprv_malloc_* "
    "uprv_realloc_* uprv_calloc_* Curl_dyn_* Curl_memdup* curl_maprintf curl_mvaprintf palloc* MemoryContextAlloc* "
    "MemoryContextStrdup pstrdup repalloc* psprintf __os_malloc __os_calloc __os_realloc __os_strdup __os_umalloc "
    // gcc: garbage-collected memory, its vectors, hash tables and pools; libiberty.
    "ggc_*alloc* _Z*ggc_*alloc* ggc_internal_* _Z*ggc_internal_* _ZN3vecI* _ZN7va_heap* _ZN12va_gc_atomic* _ZN5va_gc* "
    "_ZN10hash_tableI* _ZN8hash_mapI* _ZN8hash_setI* _ZN16object_allocatorI* _ZN19base_pool_allocatorI* "
    "_ZN11memory_block* concat reconcat concat_copy2 make_relative_prefix* htab_create* htab_find_slot* "
    "htab_try_create bitmap_alloc* _Z*bitmap_obstack_alloc* _Z*sbitmap_*alloc* "
    // LLVM: its own strings, vectors, maps and arenas, and malloc that cannot fail.
    "_ZN4llvm11safe_*alloc* _ZN4llvm15SmallVectorBase* _ZN4llvm11SmallVectorI* _ZN4llvm15SmallVectorImplI* "
    "_ZN4llvm23SmallVectorTemplateBase* _ZN4llvm15allocate_buffer* _ZN4llvm20BumpPtrAllocatorImplI* "
    "_ZN4llvm13StringMapImpl* _ZN4llvm9StringMapI* _ZN4llvm8DenseMapI* _ZN4llvm12DenseMapBaseI* "
    "_ZN4llvm13SmallDenseMapI* _ZN4llvm14FoldingSetBase* _ZN4llvm15SmallPtrSetImplBase* _ZN4llvm8ArrayRecycler* "
    // V8 and node: allocation that retries, zones and their segments.
    "_ZN2v88internal*AllocWithRetry* _ZN2v88internal*AllocAtLeastWithRetry* _ZN2v88internal4Zone* "
    "_ZN2v88internal19AccountingAllocator* _ZN2v88internal15AlignedAlloc* _ZN2v88internal*NewArrayI* "
    "_ZN2v84base6Malloc* _ZN2v84base7Realloc* _ZN2v84base6Calloc* _ZN4node*6MallocI* _ZN4node*ReallocI* "
    "_ZN4node*CallocI* _ZN4node*MaybeStackBufferI* "
    "_ZN4node*ArrayBufferAllocator*Allocate* _ZN2v88internal12BackingStore8AllocateE* "
    // Qt: implicitly shared arrays and strings.
    "_ZN10QArrayData*allocate* _ZN9QListData* _ZN7QStringC* _ZN7QString7reserve* _ZN7QString6append* "
    "_ZN7QString11reallocData* _ZN10QByteArrayC* _ZN10QByteArray6append* _ZN10QByteArray11reallocData* _ZN5QListI* "
    "_ZN7QVectorI* _ZN5QHashI* _ZN4QMapI* _ZN9QHashData* _ZN12QMapDataBase* "
    // Rust: the global allocator's shims, and crate alloc (Vec, String, Box, Rc), hashbrown; both manglings.
    "__rust_*alloc* __rg_*alloc* __rdl_*alloc* __rustc_*alloc* _ZN5alloc* _ZN*$LT$alloc..* _ZN9hashbrown* "
    "_R*_5alloc7raw_vec* _R*_5alloc5alloc* _R*_9hashbrown3raw* "
    // The allocators themselves, where a program carries one under a name of its own.
    "je_* mi_*alloc* mi_*dup mi_new* tc_*alloc* tc_new* tc_memalign rallocx mallocx dlmalloc* scudo_* ";

} // namespace m9
