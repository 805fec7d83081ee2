// SPDX-License-Identifier: BSD-2-Clause
//
// declared CASE [ARGUMENT]: malloc9.h from C11. Each case is right with and without the library.
#include "test/declared/books.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

MALLOC_DECLARE(M_FOO);
MALLOC_DEFINE(M_FOO, "foo", "what the test makes most of");
static MALLOC_DEFINE(M_BAR, "bar", "what it mixes with foos");
static MALLOC_DEFINE(M_POOL, "pool", "what it hands out itself");

static struct book foo = {"foo", 0, 0, 0, 0}, bar = {"bar", 0, 0, 0, 0}, pool = {"pool", 0, 0, 0, 0};

static int print_all(void) {
  const struct book all[] = {foo, bar, pool};
  books_print(all, 3);
  return 0;
}

static int all_zero(const unsigned char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i])
      return 0;
  return 1;
}

// All calls, in every class of size.
static int calls(const char *argument) {
  (void)argument;
  for (size_t size = 0; size < 3000000; size = size * 5 / 4 + 7) {
    unsigned char *p = book_made(&foo, malloc9(size, M_FOO, M_NOWAIT));
    memset(p, 0xa5, malloc_usable_size(p));
    free9(book_gone(&foo, p), M_FOO);
    p = book_made(&foo, malloc9(size, M_FOO, M_WAITOK | M_ZERO));
    CHECK(all_zero(p, size));
    p[0] = 1;
    size_t before = malloc_usable_size(p);
    unsigned char *q = realloc9(p, size + before + 1, M_BAR, M_WAITOK | M_ZERO); // the wrong type
    CHECK(q != NULL && q[0] == 1 && all_zero(q + 1, size + before));
    if (q == p) { // a large one may grow where it stands, and stays a foo
      foo.memalloced += malloc_usable_size(q) - before;
      book_gone(&foo, q);
    } else {
      foo.numfrees++, foo.memfreed += before;
      book_gone(&bar, book_made(&bar, q));
    }
    free9(q, M_BAR);
    p = book_made(&bar, calloc9(3, size, M_BAR, M_WAITOK));
    CHECK(all_zero(p, 3 * size));
    size_t had = malloc_usable_size(p);
    CHECK(realloc9(p, had - had / 16, M_BAR, M_NOWAIT) != NULL || had > 65536);
    if (had > 65536) { // may have shrunk where it stands
      size_t now = malloc_usable_size(p);
      bar.memfreed += had - now;
    }
    free(book_gone(&bar, p)); // free knows by itself
  }
  errno = 0;
  CHECK(malloc_last_fail() > 1000);
  void *kept = book_made(&foo, malloc9(100, M_FOO, M_NOWAIT));
  CHECK(malloc9((size_t)-1 / 4 * 3, M_FOO, M_NOWAIT) == NULL && errno == ENOMEM);
  CHECK(calloc9((size_t)-1 / 4, 8, M_FOO, M_NOWAIT) == NULL);
  CHECK(realloc9(kept, (size_t)-1 / 4 * 3, M_FOO, M_NOWAIT) == NULL);
  CHECK(!malloc9_present() || malloc_last_fail() <= 2);
  book_gone(&foo, kept);
  CHECK(reallocf9(kept, (size_t)-1 / 4 * 3, M_FOO, M_NOWAIT) == NULL);
  kept = book_made(&foo, realloc9(NULL, 10, M_FOO, M_NOWAIT));
  CHECK(realloc9(kept, 0, M_FOO, M_NOWAIT) == kept);
  free9(book_gone(&foo, kept), M_FOO);
  free9(NULL, M_FOO);
  book_made(&foo, malloc9(77, M_FOO, M_NOWAIT)); // stays live
  return print_all();
}

// Three of one pair, one of another, one of a call site's type, in a zone and large.
static int wrong_type(const char *argument) {
  (void)argument;
  for (int i = 0; i < 3; i++)
    free9(book_gone(&foo, book_made(&foo, malloc9(i == 1 ? 100000 : 50, M_FOO, M_NOWAIT))), M_BAR);
  free9(book_gone(&bar, book_made(&bar, malloc9(50, M_BAR, M_NOWAIT))), M_FOO);
  free9(malloc(50), M_FOO);
  free9(book_gone(&foo, book_made(&foo, malloc9(50, M_FOO, M_NOWAIT))), M_FOO);
  return print_all();
}

static int pools(const char *argument) {
  (void)argument;
  for (size_t i = 0; i < 1000; i++) {
    malloc_type_allocated(M_POOL, i);
    pool.numallocs += i != 0;
    pool.memalloced += i;
    if (i % 3 == 0) {
      malloc_type_freed(M_POOL, i);
      pool.numfrees += i != 0;
      pool.memfreed += i;
    }
  }
  // Blocks of the same type beside it, large ones too.
  void *p = book_made(&pool, malloc9(200000, M_POOL, M_WAITOK));
  book_made(&pool, malloc9(20, M_POOL, M_WAITOK));
  free9(book_gone(&pool, p), M_POOL);
  return print_all();
}

static pthread_barrier_t go; // the threads' own memory is made before the scopes begin

static void *thread_outside(void *argument) {
  pthread_barrier_wait(&go);
  for (int i = 0; i < 20000; i++)
    free(used(malloc(40))); // not foo's, though main is in a scope
  return argument;
}

static void *thread_inside(void *argument) {
  pthread_barrier_wait(&go);
  for (int i = 0; i < 500; i++) {
    MALLOC9_SCOPE(M_BAR);
    for (int k = 0; k < 20; k++)
      free(used(malloc(60)));
  }
  return argument;
}

static jmp_buf back;
__attribute__((noinline)) static void leave_by_longjmp(void) {
  MALLOC9_SCOPE(M_BAR);
  longjmp(back, 1);
}

static int scopes(const char *argument) {
  (void)argument;
  pthread_t threads[4];
  CHECK(pthread_barrier_init(&go, NULL, 5) == 0);
  for (int i = 0; i < 4; i++)
    CHECK(pthread_create(&threads[i], NULL, i < 2 ? thread_outside : thread_inside, NULL) == 0);
  struct malloc_type *outside = malloc9_scope_push(M_FOO);
  CHECK(outside == NULL);
  pthread_barrier_wait(&go);
  for (int i = 0; i < 1000; i++)
    free(book_gone(&foo, book_made(&foo, malloc(50))));
  malloc9_scope_pop(outside);
  for (int i = 0; i < 4; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
  bar.numallocs += 2 * 500 * 20, bar.numfrees += 2 * 500 * 20;
  unsigned long size = 0;
  {
    MALLOC9_SCOPE(M_POOL);
    void *p = book_made(&pool, malloc(60));
    size = malloc_usable_size(p);
    p = book_gone(&pool, p);
    p = book_made(&pool, realloc(p, 5000));
    free(book_gone(&pool, p));
    free(book_gone(&pool, book_made(&pool, calloc(10, 10))));
    free(book_gone(&pool, book_made(&pool, aligned_alloc(4096, 8192))));
    free(book_gone(&pool, book_made(&pool, malloc(300000))));
    void *named = book_made(&bar, malloc9(60, M_BAR, M_NOWAIT)); // names its own
    {
      MALLOC9_SCOPE(M_BAR);
      free(book_gone(&bar, book_made(&bar, malloc(70))));
      MALLOC9_SCOPE(NULL);
      free(used(malloc(80))); // its caller's
    }
    free(book_gone(&pool, book_made(&pool, malloc(80)))); // the outer one again
    free9(book_gone(&bar, named), M_BAR);
    if (setjmp(back) == 0)
      leave_by_longjmp();
    free(book_gone(&bar, book_made(&bar, malloc(90)))); // the jump left it open,
  }
  free(used(malloc(90))); // but this is outside of all
  bar.memalloced += 2 * 500 * 20 * size, bar.memfreed += 2 * 500 * 20 * size;
  return print_all();
}

// The library's switch (shim/process.h) lies so many bytes behind its load address; its first word is 0 while malloc's
// fast path is off.
static unsigned long switch_offset;
static const volatile unsigned long *fast_switch;
static int find_switch(struct dl_phdr_info *info, size_t size, void *argument) {
  (void)size, (void)argument;
  if (strstr(info->dlpi_name, "/libmalloc9.so"))
    fast_switch = (const volatile unsigned long *)(info->dlpi_addr + switch_offset);
  return 0;
}

static pthread_key_t late;
static void at_end(void *argument) { // other destructors may still open scopes, and leave them open
  (void)argument;
  malloc9_scope_push(M_FOO);
  free(book_gone(&foo, book_made(&foo, malloc(50))));
}

static void *thread_exits(void *argument) { pthread_exit(argument); }

static void *thread_ends_inside(void *argument) {
  pthread_barrier_wait(&go);
  malloc9_scope_push(M_BAR);
  free(book_gone(&bar, book_made(&bar, malloc(60))));
  CHECK(!fast_switch || *fast_switch == 0);
  if (argument)
    CHECK(pthread_setspecific(late, argument) == 0);
  if (argument)
    pthread_exit(NULL);
  return NULL;
}

// Threads that end inside a scope leave malloc's fast path as it was. `offset`: of the switch, "0": it is always off.
static int ended(const char *offset) {
  switch_offset = strtoul(offset, NULL, 16);
  if (switch_offset && malloc9_present())
    dl_iterate_phdr(find_switch, NULL);
  CHECK(!fast_switch || *fast_switch != 0);
  CHECK(pthread_barrier_init(&go, NULL, 2) == 0 && pthread_key_create(&late, at_end) == 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, thread_exits, NULL) == 0 && pthread_join(thread, NULL) == 0); // loads libgcc
  for (int i = 0; i < 20; i++) {
    CHECK(pthread_create(&thread, NULL, thread_ends_inside, i % 2 ? &late : NULL) == 0);
    pthread_barrier_wait(&go);
    CHECK(pthread_join(thread, NULL) == 0);
    for (int k = 0; k < 200; k++)
      free(used(malloc(40)));
    CHECK(!fast_switch || *fast_switch != 0);
  }
  CHECK(!switch_offset || !malloc9_present() || fast_switch);
  return print_all();
}

// A child in its parent's scope, and one that opens its own.
static int forked(const char *argument) {
  (void)argument;
  int status = 0;
  free(used(malloc(10)));
  struct malloc_type *before = malloc9_scope_push(M_BAR);
  pid_t child = fork();
  if (child == 0) {
    free(book_gone(&bar, book_made(&bar, malloc(60))));
    malloc9_scope_pop(before);
    free(used(malloc(60)));
    {
      MALLOC9_SCOPE(M_FOO);
      free(book_gone(&foo, book_made(&foo, malloc(60))));
    }
    _exit(print_all());
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  malloc9_scope_pop(before);
  return 0;
}

static int listed;
static void list_one(struct malloc_type *type, void *argument) {
  CHECK(type->ks_magic == M_MAGIC && type->ks_shortdesc != NULL);
  listed += strcmp(type->ks_shortdesc, (const char *)argument) == 0;
}

static int names(const char *argument) {
  (void)argument;
  char name[] = "foo";
  CHECK(malloc_desc2type("no such type") == NULL);
  book_made(&foo, malloc9(10, M_FOO, M_NOWAIT));
  struct malloc_type *again = malloc_desc2type(name);
  CHECK((again != NULL) == malloc9_present());
  malloc_type_list(list_one, name);
  CHECK(listed == malloc9_present());
  void *p = malloc9(10, again ? again : M_FOO, M_NOWAIT);
  free9(book_gone(&foo, book_made(&foo, p)), M_FOO);
  return print_all();
}

// Whether core dumps leave out the mapping that holds p: "dd" among its flags.
static int left_out(const void *p) {
  static char line[4096];
  unsigned long start, end;
  int inside = 0, found = -1;
  FILE *maps = fopen("/proc/self/smaps", "r");
  CHECK(maps != NULL);
  while (fgets(line, sizeof line, maps)) {
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
      inside = start <= (uintptr_t)p && (uintptr_t)p < end;
    else if (inside && strncmp(line, "VmFlags:", 8) == 0)
      found = strstr(line, " dd") != NULL;
  }
  fclose(maps);
  return found;
}

static int not_dumped(const char *argument) {
  (void)argument;
  for (size_t size = 100; size < 5000000; size *= 40) {
    char *p = book_made(&foo, malloc9(size, M_FOO, M_WAITOK | M_NODUMP | M_ZERO));
    CHECK(all_zero((unsigned char *)p, size));
    CHECK(left_out(p) == malloc9_present() && left_out(p + size - 1) == malloc9_present());
    p[0] = 1;
    book_gone(&foo, p);
    p = book_made(&foo, realloc9(p, size + 100000, M_FOO, M_WAITOK | M_NODUMP));
    CHECK(p[0] == 1 && left_out(p + size + 99999) == malloc9_present());
    free9(book_gone(&foo, p), M_FOO);
    CHECK(left_out(p) != 1);
  }
  return print_all();
}

static struct rlimit space;
static void *raise_limit(void *argument) {
  usleep(200000);
  CHECK(setrlimit(RLIMIT_AS, &space) == 0);
  return argument;
}

static int waits(const char *argument) {
  (void)argument;
  pthread_t thread;
  CHECK(getrlimit(RLIMIT_AS, &space) == 0);
  const struct rlimit little = {1 << 20, space.rlim_max};
  CHECK(pthread_create(&thread, NULL, raise_limit, NULL) == 0);
  CHECK(setrlimit(RLIMIT_AS, &little) == 0);
  CHECK(malloc9(300 << 20, M_FOO, M_NOWAIT) == NULL);
  void *p = malloc9(300 << 20, M_FOO, M_WAITOK);
  CHECK(pthread_join(thread, NULL) == 0);
  free9(book_gone(&foo, book_made(&foo, p)), M_FOO);
  return print_all();
}

// A module with a type of its own comes and goes; what it made stays, and is freed after it.
static int plugin(const char *path) {
  for (int i = 0; i < 3; i++) {
    void *module = dlopen(path, RTLD_NOW);
    CHECK(module != NULL);
    void *(*make)(size_t) = (void *(*)(size_t))dlsym(module, "plugin_make");
    void *p = book_made(&pool, make(100));
    free(book_gone(&pool, book_made(&pool, make(5000))));
    CHECK(dlclose(module) == 0);
    free9(book_gone(&foo, book_made(&foo, malloc9(10, M_FOO, M_NOWAIT))), M_FOO);
    if (i < 2)
      free(book_gone(&pool, p));
  }
  pool.type = "plugin's";
  return print_all();
}

static int bad_magic(const char *argument) {
  (void)argument;
  free9(malloc9(10, M_BAR, M_NOWAIT), M_BAR);
  printf("malloc9: bad ks_magic of the malloc_type at %p\n", (void *)M_BAR);
  fflush(stdout);
  M_BAR->ks_magic ^= 1;
  free9(malloc9(10, M_BAR, M_NOWAIT), M_BAR);
  return malloc9_present() ? 1 : 0;
}

static int never(const char *argument) {
  (void)argument;
  printf("malloc9: M_WAITOK: 18446744073709551615 bytes of type foo can never be had\n");
  fflush(stdout);
  return calloc9((size_t)-1 / 4, 8, M_FOO, M_WAITOK) != NULL;
}

static const struct {
  const char *name;
  int (*run)(const char *argument);
} cases[] = {{"calls", calls},   {"wrong_type", wrong_type}, {"pools", pools},           {"scopes", scopes},
             {"forked", forked}, {"names", names},           {"not_dumped", not_dumped}, {"waits", waits},
             {"plugin", plugin}, {"bad_magic", bad_magic},   {"never", never},           {"ended", ended}};

int main(int argc, char **argv) {
  for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++)
    if (strcmp(cases[i].name, argv[1]) == 0)
      return cases[i].run(argc > 2 ? argv[2] : "");
  return 2;
}
