// SPDX-License-Identifier: BSD-2-Clause
//
// values CASE: what the allocation functions return, keep and refuse.
#include "cases.h"

#include <dlfcn.h>
#include <malloc.h>

static const size_t too_big[] = {(size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096, (size_t)1 << 63};
#define EACH(i, array) (size_t i = 0; (i) < sizeof(array) / sizeof *(array); (i)++)

SITE void *refused_malloc(size_t size);
SITE void *refused_malloc(size_t size) { return hide(malloc(hide_size(size))); }
SITE void *values_site(size_t size);
SITE void *values_site(size_t size) { return hide(malloc(hide_size(size))); }
SITE void *values_realloc(void *p, size_t size);
SITE void *values_realloc(void *p, size_t size) { return hide(realloc(hide(p), hide_size(size))); }

static void *function(const char *name) {
  void *found = dlsym(RTLD_DEFAULT, name);
  CHECK(found != NULL);
  return found;
}

static int multiple(const void *p, size_t of) { return p != NULL && (uintptr_t)p % of == 0; }

static void zero_bytes(void) {
  void *blocks[1000];
  for
    EACH(i, blocks) {
      blocks[i] = values_site(0);
      CHECK(blocks[i] != NULL);
      for (size_t j = 0; j < i; j++)
        CHECK(blocks[j] != blocks[i]);
    }
  for
    EACH(i, blocks)
  free(blocks[i]);
  void *others[] = {hide(calloc(0, 8)), hide(calloc(8, 0)), hide(realloc(NULL, hide_size(0))),
                    hide(aligned_alloc(64, hide_size(0))), hide(reallocarray(NULL, 0, 0))};
  for
    EACH(i, others) {
      CHECK(others[i] != NULL);
      free(others[i]);
    }
  printf("values_site 1000 1000\n");
}

static void check_refused(void *p) {
  CHECK(p == NULL);
  CHECK(errno == ENOMEM);
  errno = 0;
}

static void too_large(void) {
  char *kept = values_site(100);
  memset(kept, 7, 100);
  for
    EACH(i, too_big) {
      errno = 0;
      size_t size = hide_size(too_big[i]);
      check_refused(refused_malloc(size));
      check_refused(hide(calloc(1, size)));
      check_refused(hide(calloc(size, 2)));
      check_refused(hide(realloc(NULL, size)));
      check_refused(hide(realloc(kept, size)));
      check_refused(hide(reallocarray(kept, size, 1)));
      check_refused(hide(aligned_alloc(64, size)));
      check_refused(hide(memalign(4096, size)));
      check_refused(hide(valloc(size)));
      check_refused(hide(pvalloc(size)));
      void *untouched = &untouched;
      CHECK(posix_memalign(&untouched, 64, size) == ENOMEM && untouched == &untouched);
    }
  check_refused(refused_malloc(hide_size(PTRDIFF_MAX)));
  for (int i = 0; i < 100; i++)
    CHECK(kept[i] == 7);
  free(kept);
  printf("refused_malloc 0 0\nvalues_site 1 1\n");
}

static void overflow(void) {
  size_t root = hide_size((size_t)1 << 32);
  check_refused(hide(calloc(root, root)));
  check_refused(hide(calloc(SIZE_MAX / 2, hide_size(3))));
  check_refused(hide(calloc(hide_size(3), SIZE_MAX / 3 + 1)));
  check_refused(hide(reallocarray(NULL, root, root)));
  char *kept = values_site(50);
  memset(kept, 9, 50);
  check_refused(hide(reallocarray(kept, SIZE_MAX / 8, hide_size(16))));
  for (int i = 0; i < 50; i++)
    CHECK(kept[i] == 9);
  free(kept);
  char *zeroed = hide(calloc(hide_size(1000), 7));
  for (int i = 0; i < 7000; i++)
    CHECK(zeroed[i] == 0);
  free(zeroed);
}

static void realloc_to_zero(void) {
  static const size_t sizes[] = {1, 100, 65536, 65537, 10 << 20};
  for
    EACH(i, sizes) {
      void *p = values_site(sizes[i]);
      errno = 77;
      CHECK(values_realloc(p, 0) == NULL && errno == 77);
      p = values_site(sizes[i]);
      CHECK(hide(reallocarray(p, hide_size(0), 8)) == NULL && errno == 77);
    }
  printf("values_site 10 10\nvalues_realloc 0 0\n");
}

static void realloc_stays(void) {
  static const size_t sizes[][2] = {{1, 16}, {50, 64}, {64, 49}, {129, 160}, {60000, 65536}, {70000, 73728}};
  for
    EACH(i, sizes) {
      char *p = values_site(sizes[i][0]);
      memset(p, 5, sizes[i][0]);
      CHECK(values_realloc(p, sizes[i][1]) == p && p[0] == 5);
      CHECK(values_realloc(p, malloc_usable_size(p)) == p && p[0] == 5);
      CHECK(values_realloc(p, malloc_usable_size(p) - 15) == p);
      free(p);
    }
  printf("values_site 6 6\nvalues_realloc 0 0\n");
}

static void realloc_moves(void) {
  unsigned char *p = NULL;
  size_t filled = 0;
  for (size_t size = 1; size < (40u << 20); size += size / 3 + 1) {
    p = values_realloc(p, size);
    for (size_t i = 0; i < filled; i += 1 + i / 64)
      CHECK(p[i] == (unsigned char)(i * 7));
    for (size_t i = filled; i < size; i++)
      p[i] = (unsigned char)(i * 7);
    filled = size;
  }
  for (size_t size = filled; size > 0; size -= size / 3 + 1) {
    p = values_realloc(p, size);
    for (size_t i = 0; i < size; i += 1 + i / 64)
      CHECK(p[i] == (unsigned char)(i * 7));
  }
  free(p);
  void *(*reallocf)(void *, size_t) = (void *(*)(void *, size_t))function("reallocf");
  p = hide(reallocf(values_site(10), 1000));
  CHECK(p != NULL);
  CHECK(reallocf(p, SIZE_MAX) == NULL); // and p is freed
}

static void aligned(void) {
  for (size_t alignment = 1; alignment <= ((size_t)32 << 20); alignment *= 2) {
    static const size_t sizes[] = {0, 1, 17, 100, 4096, 5000, 65536, 65537, 1000000};
    for
      EACH(i, sizes) {
        void *p = hide(aligned_alloc(alignment, sizes[i])), *q = hide(memalign(alignment, sizes[i])), *r = NULL;
        CHECK(multiple(p, alignment) && multiple(p, 16) && malloc_usable_size(p) >= sizes[i]);
        CHECK(multiple(q, alignment) && multiple(q, 16) && malloc_usable_size(q) >= sizes[i]);
        if (alignment >= sizeof(void *))
          CHECK(posix_memalign(&r, alignment, sizes[i]) == 0 && multiple(r, alignment));
        memset(p, 1, sizes[i]);
        memset(q, 2, malloc_usable_size(q));
        free(p);
        free(q);
        free(r);
      }
  }
}

static void odd_alignments(void) {
  static const size_t odd[][2] = {{0, 16}, {3, 16}, {17, 32}, {24, 32}, {100, 128}, {4097, 8192}, {1000001, 1 << 20}};
  for
    EACH(i, odd) {
      void *p = hide(aligned_alloc(hide_size(odd[i][0]), 100)), *q = hide(memalign(hide_size(odd[i][0]), 100));
      CHECK(multiple(p, odd[i][1]) && multiple(q, odd[i][1]));
      free(p);
      free(q);
    }
  errno = 0;
  CHECK(hide(memalign(hide_size(SIZE_MAX / 2 + 2), 1)) == NULL && errno == EINVAL);
  errno = 0;
  CHECK(hide(memalign(hide_size(SIZE_MAX), 1)) == NULL && errno == EINVAL);
  errno = 0;
  check_refused(hide(memalign(hide_size(SIZE_MAX / 2 + 1), 1)));
  check_refused(hide(memalign(hide_size((size_t)1 << 62), hide_size((size_t)3 << 62))));
  check_refused(hide(aligned_alloc(4096, hide_size(SIZE_MAX - 4095))));
  check_refused(hide(aligned_alloc((size_t)1 << 20, hide_size(PTRDIFF_MAX))));
}

static void posix_memaligned(void) {
  static const size_t bad[] = {0, 1, 2, 3, 4, 12, 24, 40, 4097, SIZE_MAX};
  for
    EACH(i, bad) {
      void *untouched = &untouched;
      errno = 77;
      CHECK(posix_memalign(&untouched, hide_size(bad[i]), 64) == EINVAL);
      CHECK(untouched == &untouched && errno == 77);
    }
  void *p = NULL;
  CHECK(posix_memalign(&p, 8, 0) == 0 && p != NULL);
  free(p);
}

static void pages(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100000};
  for
    EACH(i, sizes) {
      void *p = hide(pvalloc(sizes[i])), *q = hide(valloc(sizes[i]));
      size_t wanted = sizes[i] == 0 ? page : (sizes[i] + page - 1) / page * page;
      CHECK(multiple(p, page) && multiple(q, page));
      CHECK(malloc_usable_size(p) >= wanted && malloc_usable_size(q) >= sizes[i]);
      free(p);
      free(q);
    }
}

static void alignment(void) {
  for (size_t size = 0; size < 70000; size += 1 + size / 50) {
    void *p = values_site(size), *q = hide(calloc(1, size)), *r = hide(realloc(hide(malloc(1)), size + 1));
    CHECK(multiple(p, 16) && multiple(q, 16) && multiple(r, 16));
    free(p);
    free(q);
    free(r);
  }
}

static void usable(void) {
  size_t (*good_size)(size_t) = (size_t(*)(size_t))function("malloc_good_size");
  size_t (*nallocx)(size_t, int) = (size_t(*)(size_t, int))function("nallocx");
  CHECK(malloc_usable_size(NULL) == 0);
  for (size_t size = 0; size < (3u << 20); size += 1 + size / 10) {
    unsigned char *p = values_site(size);
    size_t whole = malloc_usable_size(p);
    CHECK(whole >= size && whole > 0);
    memset(p, 0x5a, whole);
    void *neighbours[] = {values_site(size), values_site(size)};
    CHECK(malloc_usable_size(p) == whole);
    CHECK(good_size(size) == whole && (size == 0 || nallocx(size, 0) == whole));
    for
      EACH(i, neighbours) {
        memset(neighbours[i], 0, malloc_usable_size(neighbours[i]));
        free(neighbours[i]);
      }
    for (size_t i = 0; i < whole; i += 1 + i / 64)
      CHECK(p[i] == 0x5a);
    free(p);
  }
}

static void errno_kept(void) {
  void (*freed_sized)(void *, size_t) = (void (*)(void *, size_t))function("free_sized");
  void (*freed_aligned)(void *, size_t, size_t) = (void (*)(void *, size_t, size_t))function("free_aligned_sized");
  void (*sdallocx)(void *, size_t, int) = (void (*)(void *, size_t, int))function("sdallocx");
  void (*cfreed)(void *) = (void (*)(void *))function("cfree");
  for (size_t size = 1; size < (100u << 20); size += size) {
    errno = 77;
    free(values_site(size));
    CHECK(errno == 77);
    freed_sized(values_site(size), size);
    CHECK(errno == 77);
    freed_aligned(hide(aligned_alloc(64, size)), 64, size);
    CHECK(errno == 77);
    sdallocx(values_site(size), size, 0);
    CHECK(errno == 77);
    cfreed(values_site(size));
    CHECK(errno == 77);
  }
  free(NULL);
  freed_sized(NULL, 10);
  freed_aligned(NULL, 64, 10);
  cfreed(NULL);
  CHECK(errno == 77);
  printf("values_site 108 108\n");
}

static void success_keeps_errno(void) {
  static void *blocks[3000];
  errno = 77;
  for (size_t round = 0; round < 3; round++) {
    for
      EACH(i, blocks) {
        size_t size = (i * 7919 + round) % (i % 100 == 0 ? 3000000 : 20000);
        blocks[i] = i % 3 == 0 ? values_site(size) : i % 3 == 1 ? hide(calloc(1, size)) : values_realloc(NULL, size);
        CHECK(blocks[i] != NULL && errno == 77);
      }
    for
      EACH(i, blocks) {
        free(blocks[i]);
        CHECK(errno == 77);
      }
    malloc_trim(0);
    errno = 77;
  }
}

static void calloc_zeroes(void) {
  for (int round = 0; round < 3; round++) {
    for (size_t size = 16; size < (40u << 20); size += size / 2) {
      unsigned char *dirty = hide(malloc(size));
      memset(dirty, 0xff, size);
      free(dirty);
      unsigned char *p = hide(calloc(hide_size(size / 16), 16));
      for (size_t i = 0; i < size / 16 * 16; i++)
        CHECK(p[i] == 0);
      memset(p, 0xee, size / 16 * 16);
      free(p);
    }
    malloc_trim(0);
  }
}

static void wrong_sizes(void) {
  void (*freed_sized)(void *, size_t) = (void (*)(void *, size_t))function("free_sized");
  freed_sized(values_site(100), 100);
  freed_sized(values_site(100), 5000);
  freed_sized(values_site(5000), 100);
  freed_sized(values_site(1000000), 10);
  printf("values_site 4 4\nnote 3 size mismatches\n");
}

static void glibc_names(void) {
  void *p = values_site(5000), *q = values_site(10 << 20);
  struct mallinfo2 info = mallinfo2();
  CHECK(info.uordblks + info.hblkhd >= (10 << 20));
  CHECK(malloc_info(1, stdout) != 0);
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&text, &size);
  CHECK(malloc_info(0, file) == 0);
  fclose(file);
  CHECK(strncmp(text, "<malloc version=", 16) == 0 && strstr(text, "</malloc>") != NULL);
  free(text);
  mallopt(M_MMAP_THRESHOLD, 100000);
  mallopt(M_ARENA_MAX, 1);
  int trimmed = malloc_trim(0);
  CHECK(trimmed == 0 || trimmed == 1);
  malloc_stats();
  static const char *const names[] = {"__libc_malloc", "__libc_valloc", "__libc_pvalloc"};
  for
    EACH(i, names)
  free(hide(((void *(*)(size_t))function(names[i]))(100)));
  void *r = hide(((void *(*)(size_t, size_t))function("__libc_calloc"))(10, 10));
  r = hide(((void *(*)(void *, size_t))function("__libc_realloc"))(r, 1000));
  ((void (*)(void *))function("__libc_free"))(r);
  r = hide(((void *(*)(size_t, size_t))function("__libc_memalign"))(4096, 10));
  CHECK(multiple(r, 4096));
  free(r);
  CHECK(((int (*)(void **, size_t, size_t))function("__posix_memalign"))(&r, 4096, 10) == 0 && multiple(r, 4096));
  free(r);
  free(p);
  free(q);
}

int main(int argc, char **argv) {
  static const struct test_case cases[] = {
      {"zero_bytes", zero_bytes},
      {"too_large", too_large},
      {"overflow", overflow},
      {"realloc_to_zero", realloc_to_zero},
      {"realloc_stays", realloc_stays},
      {"realloc_moves", realloc_moves},
      {"aligned", aligned},
      {"odd_alignments", odd_alignments},
      {"pages", pages},
      {"posix_memaligned", posix_memaligned},
      {"alignment", alignment},
      {"usable", usable},
      {"errno_kept", errno_kept},
      {"success_keeps_errno", success_keeps_errno},
      {"wrong_sizes", wrong_sizes},
      {"calloc_zeroes", calloc_zeroes},
      {"glibc_names", glibc_names},
  };
  return RUN_CASE(argc, argv, cases);
}
