// SPDX-License-Identifier: BSD-2-Clause
//
// A stand-in for libmalloc9.so, which library_test.py builds right and then wrong in every way that library.py is to
// notice: each macro has its right value here, and the test overrides one.
#include <stddef.h>

#ifndef VERSION
#define VERSION "0"
#endif
#ifndef FLAGS
#define FLAGS "0"
#endif
#ifndef START
#define START "3f"
#endif
#ifndef LENGTH
#define LENGTH "(5f-3f)"
#endif
#ifndef ABORT
#define ABORT "7f"
#endif
#ifndef SIGNATURE
#define SIGNATURE "0x53053053"
#endif
#ifndef TABLE
#define TABLE "__rseq_cs"
#endif
#ifndef IMPORT
#define IMPORT explicit_bzero
#endif
#ifndef TLS_SIZE
#define TLS_SIZE 8
#endif
#ifndef TLS_MODEL
#define TLS_MODEL "initial-exec"
#endif

static __thread char storage[TLS_SIZE] __attribute__((tls_model(TLS_MODEL)));

void *malloc(size_t size) {
  __asm__ volatile(".pushsection " TABLE ",\"aw\"\n .balign 32\n .long " VERSION "," FLAGS "\n .quad " START "," LENGTH
                   "," ABORT "\n .popsection\n"
                   "3: nop\n 4: nop\n 5: nop\n"
                   ".pushsection .text.unlikely,\"ax\"\n .byte 0x0f,0xb9,0x3d\n .long " SIGNATURE "\n"
                   "7: jmp 5b\n .popsection\n");
#ifdef AGAIN
  __asm__ volatile(".pushsection __rseq_cs,\"aw\"\n .long 0,0\n .quad 4b,8,7b\n .popsection\n nop\n nop\n");
#endif
  return &storage[size % TLS_SIZE];
}

void free(void *item) { storage[0] = item != NULL; }
size_t malloc_usable_size(void *item) { return item != NULL; }
void *_Znwm(size_t size) { return malloc(size); }

#ifdef WRITABLE_CODE
__asm__(".pushsection .writable_code,\"awx\"\n nop\n .popsection");
#endif
#ifdef EXTRA
void extra(void) {}
#endif
extern void IMPORT(void *, size_t);
void cfree(void *item) { IMPORT(item, 1); }
