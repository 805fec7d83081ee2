// SPDX-License-Identifier: BSD-2-Clause
//
// What test/chain/rules_test.py builds: two libraries (-DALPHA, -DBETA), plugins (-DPLUGIN) and the program. Nothing is
// a call at the end of a function, so that each is on the stack while it allocates.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *volatile kept;

#define APART __attribute__((noinline, noclone, noipa))

#ifdef ALPHA
// Before the library reads its settings.
__attribute__((constructor)) static void alpha_start(void) {
  for (int i = 0; i < 3; i++)
    kept = malloc(48);
}
APART void alpha_make(void) { kept = malloc(100); }
APART void alpha_copy(void) { kept = strdup("alpha"); }
#endif

#ifdef BETA
APART void json_parse(void) { kept = malloc(300); }
// By its name a wrapper, unless a rule says what it is.
APART char *json_strdup(const char *text) {
  char *copy = malloc(strlen(text) + 1);
  kept = copy;
  return strcpy(copy, text);
}
APART void beta_helper(void) { kept = malloc(64); }
APART void beta_work(void) { kept = malloc(64); }
#endif

#ifdef PLUGIN
APART void plugin_work(void) { kept = malloc(500); }
#endif

#ifdef PROGRAM
void alpha_make(void), alpha_copy(void), json_parse(void), beta_helper(void), beta_work(void);
char *json_strdup(const char *text);

// No name that is known, and a size of its own: no wrapper, unless a rule says so.
APART void *pool_get(void) {
  kept = malloc(200);
  return kept;
}
APART void worker_a(void) { kept = pool_get(); }
APART void worker_b(void) { kept = pool_get(); }

static void *plugin(const char *path) {
  void *library = dlopen(path, RTLD_NOW);
  void (*work)(void) = library ? (void (*)(void))dlsym(library, "plugin_work") : NULL;
  if (!work)
    abort();
  for (int i = 0; i < 5; i++)
    work();
  dlclose(library);
  return (void *)work;
}

#define TIMES(n, what)                                                                                                 \
  for (int i = 0; i < (n); i++)                                                                                        \
  what

int main(int argc, char **argv) {
  TIMES(5, alpha_make());
  TIMES(7, alpha_copy());
  TIMES(11, json_parse());
  TIMES(13, kept = json_strdup("text"));
  TIMES(17, beta_helper());
  TIMES(19, beta_work());
  TIMES(4, worker_a());
  TIMES(6, worker_b());
  if (argc > 2)
    puts(plugin(argv[1]) == plugin(argv[2]) ? "same place" : "elsewhere");
  return 0;
}
#endif
