// SPDX-License-Identifier: BSD-2-Clause
//
// inherited: a parent allocates, makes children by fork and by _Fork, and one of each makes a grandchild; all allocate
// and free known numbers at known sites, and what they took over. At its end each process prints, for each site, what
// it inherited and what it counted in all, as `PID SITE ALLOCS FREES BYTES BYTES_FREED ALLOCS FREES BYTES BYTES_FREED`.
// The children end in every way: by exit, _exit, _Exit, after an exec that failed, and with nothing done at all.
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noclone, visibility("default")))
#define CHECK(x)                                                                                                       \
  do {                                                                                                                 \
    if (!(x)) {                                                                                                        \
      dprintf(2, "line %d: not %s\n", __LINE__, #x);                                                                   \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)

enum { sites = 3, most = 5000 };
struct books {
  unsigned long allocs, frees, bytes, bytes_freed;
};
static struct books now[sites], before[sites];
static void *held[sites][most];
static size_t holds[sites];

static void *keep(void *p, int number) {
  __asm__ volatile("# %1" : "+r"(p) : "r"(number));
  return p;
}

SITE void *parent_site(size_t size);
SITE void *child_site(size_t size);
SITE void *grandchild_site(size_t size);
SITE void *parent_site(size_t size) { return keep(malloc(size), 0); }
SITE void *child_site(size_t size) { return keep(malloc(size), 1); }
SITE void *grandchild_site(size_t size) { return keep(malloc(size), 2); }
static void *(*const site[sites])(size_t) = {parent_site, child_site, grandchild_site};
static const char *const names[sites] = {"parent_site", "child_site", "grandchild_site"};

static void get(int s, size_t count) {
  for (size_t i = 0; i < count; i++) {
    void *p = site[s](i % 100 == 99 ? 300000 + i : 1 + i * 7 % 3000);
    CHECK(p != NULL && holds[s] < most);
    held[s][holds[s]++] = p;
    now[s].allocs++;
    now[s].bytes += malloc_usable_size(p);
  }
}

static void give(int s, size_t count) {
  for (size_t i = 0; i < count; i++) {
    CHECK(holds[s] > 0);
    void *p = held[s][--holds[s]];
    now[s].frees++;
    now[s].bytes_freed += malloc_usable_size(p);
    free(p);
  }
}

static void report(void) {
  for (int s = 0; s < sites; s++) {
    char line[300];
    const struct books *b = &before[s], *n = &now[s];
    int size = snprintf(line, sizeof line, "%d %s %lu %lu %lu %lu %lu %lu %lu %lu\n", (int)getpid(), names[s],
                        b->allocs, b->frees, b->bytes, b->bytes_freed, n->allocs, n->frees, n->bytes, n->bytes_freed);
    CHECK(write(1, line, (size_t)size) == size);
  }
}

static void begin(void) { memcpy(before, now, sizeof before); }

static void end(int how) {
  report();
  char *nothing[] = {"", NULL};
  if (how == 3)
    execv("/nonexistent", nothing);
  how == 0 ? exit(0) : how == 1 ? _Exit(0) : _exit(0);
}

static void grandchild(void) {
  begin();
  get(2, 30);
  give(2, 20);
  get(1, 5);
  give(0, 11);
  end(0);
}

static void wait_for(pid_t child) {
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void child(size_t number) {
  begin();
  if (number == 7) // nothing at all: not even the first malloc, by which a child of _Fork is noticed
    end(2);
  get(1, 100 + number);
  give(1, 50 + number);
  give(0, 10 * number);
  if (number < 2) {
    pid_t pid = number == 0 ? _Fork() : fork();
    if (pid == 0)
      grandchild();
    wait_for(pid);
  }
  get(1, 3);
  end((int)number % 4);
}

static void shared_memory_children(void) {
  for (int i = 0; i < 3; i++) {
    pid_t pid = vfork();
    if (pid == 0)
      _exit(0); // no process of its own: it says nothing
    wait_for(pid);
  }
}

int main(void) {
  get(0, 2000);
  give(0, 700);
  shared_memory_children();
  for (size_t i = 0; i < 8; i++) {
    pid_t pid = i % 2 == 0 ? fork() : _Fork();
    if (pid == 0)
      child(i);
    wait_for(pid);
    get(0, 10); // each child inherits more than the one before
  }
  get(1, 40);
  give(1, 4);
  report();
  return 0;
}
