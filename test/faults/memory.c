// SPDX-License-Identifier: BSD-2-Clause
//
// memory CASE [ARGUMENT]: limits, locked memory, memory given back. Prints numbers that the runner compares with those
// of glibc's malloc in the same run.
#include "cases.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

static char **arguments;
enum { max_blocks = 3000000 };
static void **blocks; // mapped, so that the allocator under test has no part in it

static long status_kib(const char *key) {
  static char text[1 << 14];
  int fd = open("/proc/self/status", O_RDONLY);
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  text[size > 0 ? size : 0] = 0;
  const char *found = strstr(text, key);
  return found != NULL ? atol(found + strlen(key) + 1) : -1;
}

static void map_blocks(size_t count) {
  blocks =
      mmap(NULL, count * sizeof *blocks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(blocks != MAP_FAILED);
}

static const size_t mix[] = {16,   24,   32,   48,   64,   100,   128,   200,   256,   500,    512,
                             1000, 1024, 2048, 4000, 4096, 10000, 16384, 40000, 65536, 100000, 300000};

struct block {
  struct block *next;
};

static size_t size_of(size_t number, size_t fixed) {
  return fixed != 0 ? fixed : mix[number * 7 % (sizeof mix / sizeof *mix)];
}

// Allocates until it is refused; prints the bytes that it held then. All can be freed, and half be had once more.
static void fill(void) {
  size_t fixed = arguments[2] != NULL ? strtoul(arguments[2], NULL, 0) : 0, live = 0, count = 0;
  struct block *list = NULL, *p;
  for (errno = 0; (p = hide(malloc(size_of(count, fixed)))) != NULL; count++) {
    size_t size = size_of(count, fixed);
    ((char *)p)[size - 1] = 1;
    p->next = list;
    list = p;
    live += size;
  }
  CHECK(errno == ENOMEM);
  CHECK(hide(calloc(1, (size_t)1 << 40)) == NULL && errno == ENOMEM);
  for (; list != NULL; list = p) {
    p = list->next;
    free(list);
  }
  for (size_t i = 0; i < count / 2; i++) {
    CHECK((p = hide(malloc(size_of(i, fixed)))) != NULL);
    p->next = list;
    list = p;
  }
  for (; list != NULL; list = p) {
    p = list->next;
    free(list);
  }
  malloc_trim(0);
  printf("live %zu\n", live);
}

// RLIMIT_AS is lowered to what is mapped and 200 MiB more.
static void lowered(void) {
  struct rlimit limit = {0, 0};
  free(hide(malloc(100)));
  map_blocks(1 << 20);
  limit.rlim_cur = limit.rlim_max = ((size_t)status_kib("VmSize") << 10) + (200 << 20);
  if (arguments[2] != NULL) // the same limit for both allocators
    limit.rlim_cur = limit.rlim_max = strtoul(arguments[2], NULL, 0);
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
  size_t live = 0;
  for (size_t i = 0; live < (800u << 20); i++) {
    size_t size = mix[(i * 7) % (sizeof mix / sizeof *mix)];
    char *p = hide(malloc(size));
    if (p == NULL) {
      CHECK(errno == ENOMEM);
      break;
    }
    p[0] = 1;
    live += size;
  }
  printf("live %zu\n", live);
}

static void locked(void) {
  int done = mlockall(MCL_CURRENT | MCL_FUTURE);
  printf("mlockall %d\n", done == 0 ? 0 : errno);
  size_t scale = arguments[2] != NULL ? strtoul(arguments[2], NULL, 0) : 30; // times 100 KiB
  for (size_t i = 0; i < scale * 500; i++)
    *(char *)hide(malloc(1 + i % 1000)) = 1;
  for (int round = 0; round < 20; round++) {
    unsigned char *dirty = hide(malloc(scale * 100000));
    memset(dirty, 0xff, scale * 100000);
    free(dirty);
    unsigned char *p = hide(calloc(scale * 100000, 1));
    for (size_t i = 0; i < scale * 100000; i++)
      CHECK(p[i] == 0);
    free(p);
  }
  printf("rss %ld\n", status_kib("VmRSS"));
}

static size_t mappings(void) {
  static char text[1 << 16];
  size_t lines = 0;
  int fd = open("/proc/self/maps", O_RDONLY);
  for (ssize_t size; (size = read(fd, text, sizeof text)) > 0;)
    for (ssize_t i = 0; i < size; i++)
      lines += text[i] == '\n';
  close(fd);
  return lines;
}

// Many blocks of all kinds, every second one given back: the holes are not to become mappings.
static void few_mappings(void) {
  enum { count = 60000 };
  map_blocks(count);
  size_t most = 0;
  for (int round = 0; round < 4; round++) {
    for (size_t i = 0; i < count; i++) {
      if (blocks[i] == NULL) {
        size_t size = i % 3 == 0 ? 66000 + i % 7 * 4096 * (size_t)(1 + round) : 1 + i * 37 % 66000;
        CHECK((blocks[i] = hide(malloc(size))) != NULL);
        *(char *)blocks[i] = 1;
      }
    }
    for (size_t i = (size_t)round % 2; i < count; i += 2) {
      free(blocks[i]);
      blocks[i] = NULL;
    }
    malloc_trim(0);
    size_t now = mappings();
    most = now > most ? now : most;
  }
  printf("mappings %zu\n", most);
}

static void allocate_and_free(size_t bytes, size_t size) {
  size_t count = bytes / size;
  for (size_t i = 0; i < count; i++) {
    CHECK((blocks[i] = hide(malloc(size))) != NULL);
    memset(blocks[i], 1, size);
  }
  for (size_t i = 0; i < count; i++)
    free(blocks[i]);
}

static void wait_busy(long ms) {
  struct timespec pause = {0, 5000000};
  for (long i = 0; i < ms; i += 5) {
    nanosleep(&pause, NULL);
    for (size_t j = 0; j < 40; j++) { // slow paths, on which the decay's clock ticks
      free(hide(malloc(1000 + j * 1500)));
      free(hide(malloc(70000 + j * 5000)));
    }
  }
}

static const size_t freed_sizes[] = {64, 1000, 20000, 65536, 200000, 30 << 20};

static void decays(void) {
  map_blocks(max_blocks);
  for (size_t i = 0; i < sizeof freed_sizes / sizeof *freed_sizes; i++)
    allocate_and_free(128 << 20, freed_sizes[i]);
  wait_busy(1500);
  madvise(blocks, max_blocks * sizeof *blocks, MADV_DONTNEED);
  printf("rss %ld\n", status_kib("VmRSS"));
}

static void trims(void) {
  map_blocks(max_blocks);
  for (size_t i = 0; i < sizeof freed_sizes / sizeof *freed_sizes; i++) {
    allocate_and_free(128 << 20, freed_sizes[i]);
    madvise(blocks, max_blocks * sizeof *blocks, MADV_DONTNEED);
    malloc_trim(0);
    printf("rss %ld\n", status_kib("VmRSS"));
  }
}

// Memory must not pile up when blocks are freed and allocated again, in other sizes.
static void reuse(void) {
  map_blocks(max_blocks);
  for (int round = 0; round < 30; round++)
    allocate_and_free(64 << 20, 70000 + (size_t)round * 6000);
  printf("rss %ld\n", status_kib("VmHWM"));
}

static void dies(void) {
  for (size_t i = 0; i < 100000; i++)
    *(char *)hide(malloc(1 + i % 500)) = 1;
  abort();
}

int main(int argc, char **argv) {
  arguments = argv;
  static const struct test_case cases[] = {{"fill", fill},     {"lowered", lowered}, {"locked", locked},
                                           {"decays", decays}, {"trims", trims},     {"few_mappings", few_mappings},
                                           {"reuse", reuse},   {"dies", dies}};
  return RUN_CASE(argc, argv, cases);
}
