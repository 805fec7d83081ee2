// SPDX-License-Identifier: BSD-2-Clause
//
// Which names are wrappers, and which code is one where there is no name.
#include "core/wrapper.h"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "shim/symbols.h"
#include "shim/unwind.h"

TEST_CASE("names of wrappers", "[wrapper]") {
  for (const char *name :
       {"xmalloc",
        "xcalloc",
        "xrealloc",
        "xmallocz",
        "xstrdup",
        "xasprintf",
        "sh_xmalloc",
        "strdup",
        "__strdup",
        "getdelim",
        "__getdelim",
        "vasprintf",
        "__asprintf_chk",
        "g_malloc",
        "g_malloc0_n",
        "g_strdup_printf",
        "g_slice_alloc",
        "g_memdup2",
        "g_ptr_array_add",
        "Perl_safesysmalloc",
        "Perl_sv_grow",
        "Perl_newSVpvn_flags",
        "PyMem_RawMalloc",
        "_PyObject_GC_New",
        "PyType_GenericAlloc",
        "sqlite3Malloc",
        "sqlite3DbMallocRawNN",
        "sqlite3_mprintf",
        "zmalloc",
        "ztrycalloc_usable",
        "sdsnewlen",
        "_sdsnewlen",
        "CRYPTO_malloc",
        "CRYPTO_strndup",
        "OPENSSL_sk_push",
        "av_mallocz",
        "av_malloc",
        "apr_palloc",
        "talloc_named_const",
        "_talloc_zero",
        "je_malloc",
        "mi_heap_malloc_aligned",
        "_RNvMs_NtCs1_5alloc7raw_vec11finish_grow",
        "__rust_alloc",
        "__rdl_realloc",
        "uv__malloc",
        "json_strdup",
        "xmalloc.part.0",
        "xrealloc.constprop.0.isra.0",
        "_Znwm",
        "_ZnamRKSt9nothrow_t",
        "_ZN2v88internal8MallocednwEm",
        "_ZN6icu_727UMemorynwEm",
        "__cxa_allocate_exception",
        "_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE9_M_createERmm",
        "_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEC2ERKS4_",
        "_ZNKSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE6substrEmm",
        "_ZNSt6vectorIiSaIiEE17_M_realloc_insertIJRKiEEEvN9__gnu_cxx17__normal_iteratorIPiS1_EEDpOT_",
        "_ZNSt8_Rb_treeIiSt4pairIKiiESt10_Select1stIS2_ESt4lessIiESaIS2_EE16_M_insert_uniqueIS2_EES0_OT_",
        "_ZNSt10_HashtableIiiSaIiENSt8__detail9_IdentityESt8equal_toIiESt4hashIiEE9_M_rehashEmRKm",
        "_ZN5alloc7raw_vec19RawVec$LT$T$C$A$GT$7reserve21do_reserve_and_handle17h0123456789abcdefE",
        "_ZN60_$LT$alloc..string..String$u20$as$u20$core..clone..Clone$GT$5clone17h0123456789abcdefE",
        "_ZN3vecIP9tree_node7va_heap6vl_ptrE7reserveEjb",
        "_ZN4llvm15SmallVectorBaseIjE8grow_podEPvmm"}) {
    CAPTURE(name);
    CHECK(m9::wrapper_name(name));
  }
}

TEST_CASE("names that are no wrappers", "[wrapper]") {
  for (const char *name : {"",
                           "_",
                           "_Z",
                           "main",
                           "free",
                           "xfree",
                           "malloc_trim_all_of_it",
                           "mallocs",
                           "make_command",
                           "execute_command",
                           "Perl_pp_match",
                           "Perl_regexec_flags",
                           "sqlite3VdbeExec",
                           "sqlite3_step",
                           "sqlite3Parser",
                           "PyEval_EvalCode",
                           "PyFunction_NewWithQualName",
                           "_PyEval_EvalFrameDefault",
                           "g_object_new",
                           "g_variant_new_string",
                           "g_main_loop_new",
                           "fopen",
                           "opendir",
                           "regcomp",
                           "setlocale",
                           "getaddrinfo",
                           "_IO_file_doallocate",
                           "createObject",
                           "dictAddRaw",
                           "processCommand",
                           "X509_new",
                           "EVP_PKEY_new",
                           "inflateInit2_",
                           "apr_pool_create_ex",
                           "_Z4copyPKc",
                           "_ZN5clang4Sema18InstantiateClassENS_14SourceLocationE",
                           "_ZN2v88internal6Parser10ParseClassEv",
                           "_ZNSt17_Function_handlerIFvvEZ4mainEUlvE_E9_M_invokeERKSt9_Any_data",
                           "_ZSt13__invoke_implIvZ4mainEUlvE_JEET_",
                           "_ZNSt6thread11_State_implINS_8_InvokerISt5tupleIJPFvvEEEEEE6_M_runEv",
                           "_ZN3foo6vectorIiE4growEv",
                           "mi_create",
                           "tc_setup",
                           "_ZN4live4scanEP3vecIi7va_heap6vl_ptrE",
                           "_RINvNtCs1_3foo3barNtNtCs2_5alloc6string6StringE",
                           "dupe",
                           "\xff\xfe",
                           "."}) {
    CAPTURE(name);
    CHECK_FALSE(m9::wrapper_name(name));
  }
  CHECK_FALSE(m9::wrapper_name(std::string(100000, '_').c_str()));
}

TEST_CASE("a name is judged within a few microseconds", "[wrapper]") {
  const char *names[] = {
      "_ZNKSt17_Function_handlerIFvvEZN5clang4Sema18InstantiateClassENS0_14SourceLocationEEUlvE_E9_M",
      "execute_command_internal", "Perl_pp_match"};
#ifdef __OPTIMIZE__
  constexpr double most = 20;
#else
  constexpr double most = 200;
#endif
  for (const char *name : names) {
    double least = most; // of ten rounds: others use the machine too
    unsigned wrappers = 0;
    for (int round = 0; round < 10; round++) {
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < 100; i++)
        wrappers += m9::wrapper_name(name);
      const std::chrono::duration<double, std::micro> each = (std::chrono::steady_clock::now() - begin) / 100;
      least = std::min(least, each.count());
    }
    CAPTURE(name, least);
    CHECK(wrappers == 0);
    CHECK(least < most);
  }
}

TEST_CASE("code of wrappers without a name", "[wrapper]") {
  using bytes = std::vector<uint8_t>;
  const auto judge = [](const bytes &code, size_t after, bool first = true) {
    return m9::wrapper_code(code.data(), code.size(), after, first);
  };
  // sub $8, %rsp; call malloc; test %rax, %rax; je; add $8, %rsp; ret; call die
  const bytes passes = {0x48, 0x83, 0xEC, 8,    0xE8, 0, 1,    0,    0,    0x48, 0x85, 0xC0,
                        0x74, 5,    0x48, 0x83, 0xC4, 8, 0xC3, 0xE8, 0x10, 1,    0,    0};
  CHECK(judge(passes, 9));
  CHECK(judge(passes, 9, false));
  // mov $40, %edi; call malloc; ret: it makes something of its own
  const bytes makes = {0xBF, 40, 0, 0, 0, 0xE8, 0, 1, 0, 0, 0xC3};
  CHECK_FALSE(judge(makes, 10));
  // mov $16, %esi (calloc's second, realloc's)
  const bytes makes_second = {0xBE, 16, 0, 0, 0, 0xE8, 0, 1, 0, 0, 0xC3};
  CHECK_FALSE(judge(makes_second, 10));
  // mov $8, %edi; cmovne %rbx, %rdi: nothing is not asked for
  const bytes least = {0xBF, 8, 0, 0, 0, 0x48, 0x0F, 0x45, 0xFB, 0xE8, 0, 1, 0, 0, 0xC3};
  CHECK(judge(least, 14));
  // mov $64, %r15d is none of its arguments
  const bytes other = {0x41, 0xBF, 64, 0, 0, 0, 0xE8, 0, 1, 0, 0, 0xC3};
  CHECK(judge(other, 11));

  bytes longer = passes;
  longer.resize(200, 0x90);
  CHECK(judge(longer, 9));
  CHECK_FALSE(judge(longer, 9, false));
  longer.resize(300, 0x90);
  CHECK_FALSE(judge(longer, 9));
  bytes busy = passes;
  for (int i = 0; i < 9; i++)
    busy.insert(busy.end(), {0xE8, 0, 2, 0, 0});
  CHECK_FALSE(judge(busy, 9));
  CHECK_FALSE(judge(passes, passes.size() + 1)); // a return address outside of it
  for (size_t n = 0; n <= passes.size(); n++)    // and every length
    judge(bytes(passes.begin(), passes.begin() + long(n)), n);
}

namespace {

// libc's own function: a sanitizer may stand before it in the program.
uintptr_t libc_address(const char *name) {
  void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  REQUIRE(libc);
  return reinterpret_cast<uintptr_t>(dlsym(libc, name));
}

m9::wrapper_frame frame_of(uintptr_t address, m9::module_facts &facts, m9::symbol &symbol) {
  REQUIRE(m9::module_find(address, facts));
  m9::unwind_function function;
  m9::unwind_find(address, function);
  const bool named = m9::symbol_find(facts, address - 1, symbol);
  return {address, &facts, named ? symbol.name : nullptr, function.start, function.size};
}

} // namespace

TEST_CASE("libc's function behind vasprintf", "[wrapper]") {
  m9::module_facts facts;
  m9::symbol symbol;
  const auto outer = libc_address("vasprintf");
  m9::wrapper_frame frame = frame_of(outer + 1, facts, symbol);
  CHECK(m9::wrapper_passes(frame, nullptr, true));
  // Where it jumps to, as the C library's code has it.
  uintptr_t inner = 0;
  for (uintptr_t at = outer; at < outer + 12 && inner == 0; at++)
    if (*reinterpret_cast<const uint8_t *>(at) == 0xE9) {
      int32_t distance;
      std::memcpy(&distance, reinterpret_cast<const void *>(at + 1), 4);
      inner = at + 5 + uintptr_t(intptr_t{distance});
    }
  REQUIRE(inner != 0);
  frame = frame_of(inner + 100, facts, symbol);
  frame.name = nullptr;
  CHECK(m9::wrapper_passes(frame, nullptr, true));
  // Another function of libc without a name, which is long.
  frame = frame_of(libc_address("regcomp") + 50, facts, symbol);
  frame.name = nullptr;
  frame.size = 5000;
  CHECK_FALSE(m9::wrapper_passes(frame, nullptr, true));
  // Unless a wrapper of the same module calls it.
  m9::wrapper_frame caller = frame;
  caller.name = "getdelim";
  CHECK(m9::wrapper_passes(frame, &caller, true));
  caller.name = "qsort";
  CHECK_FALSE(m9::wrapper_passes(frame, &caller, true));
  m9::module_facts elsewhere = facts;
  elsewhere.start -= 4096;
  caller.name = "getdelim";
  caller.module = &elsewhere;
  CHECK_FALSE(m9::wrapper_passes(frame, &caller, true));
  frame.module = nullptr;
  CHECK_FALSE(m9::wrapper_passes(frame, &caller, true));
}
