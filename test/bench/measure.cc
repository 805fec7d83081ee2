// SPDX-License-Identifier: BSD-2-Clause
//
// Runs a program under a library and says what the kernel charged for it: one line of JSON per run.
//
//   measure --out FILE [--env NAME=VALUE]... [--repeat N] [--exit-rss] [--socket PATH --client COMMAND] -- PROGRAM
//   ARGS...
//
// Linked statically and small: Linux counts the resident memory of the process that calls exec into the peak RSS of the
// program that it becomes, so a big launcher would hide small differences. Only PROGRAM gets what --env sets.
// --exit-rss stops the program where it exits and reads its exact resident memory there (its times then mean nothing).
// --socket and --client make PROGRAM a server: once PATH accepts a connection, COMMAND runs without the library, and
// then the server gets SIGTERM; wall is the client's time and all else is the server's.
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

struct request {
  const char *out = nullptr;
  char *settings[16] = {}; // of --env
  size_t setting_count = 0;
  const char *socket = nullptr;
  const char *client = nullptr;
  long repeat = 1;
  bool exit_rss = false;
  char **program = nullptr;
};

struct result {
  long wall_ns = 0;
  long exit_rss_kib = -1;
  int status = 0;
  rusage usage{};
};

[[noreturn]] void die(const char *what) {
  fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
  _exit(125);
}

long now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

// After fork or vfork, in the child. The environment is changed only in the array that exec gets.
[[noreturn]] void become(char **program, char **environment) {
  execvpe(program[0], program, environment);
  _exit(127);
}

// The environment with the settings in front; built once, before anything is timed.
char **environment_with(char **settings, size_t settings_count) {
  size_t count = 0;
  while (environ[count])
    count++;
  auto **all = static_cast<char **>(calloc(settings_count + count + 1, sizeof(char *)));
  if (!all)
    die("memory");
  memcpy(all, settings, settings_count * sizeof(char *));
  memcpy(all + settings_count, environ, count * sizeof(char *));
  return all;
}

bool accepts(const char *path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool good = fd >= 0 && connect(fd, reinterpret_cast<const sockaddr *>(&address), sizeof(address)) == 0;
  close(fd);
  return good;
}

pid_t start(char **program, char **environment) {
  const pid_t child = vfork();
  if (child < 0)
    die("vfork");
  if (child == 0)
    become(program, environment);
  return child;
}

result run_plain(const request &r, char **environment) {
  result x;
  const long begin = now_ns();
  const pid_t child = start(r.program, environment);
  if (wait4(child, &x.status, 0, &x.usage) != child)
    die("wait4");
  x.wall_ns = now_ns() - begin;
  return x;
}

result run_server(const request &r, char **environment) {
  result x;
  unlink(r.socket);
  const pid_t server = start(r.program, environment);
  for (int tries = 0; !accepts(r.socket); tries++) {
    if (tries == 5000 || waitpid(server, &x.status, WNOHANG) == server)
      die("the server did not come up");
    usleep(2000);
  }
  char shell[] = "sh";
  char option[] = "-c";
  char *client[] = {shell, option, const_cast<char *>(r.client), nullptr};
  const long begin = now_ns();
  const pid_t child = start(client, environ);
  int client_status = 0;
  waitpid(child, &client_status, 0);
  x.wall_ns = now_ns() - begin;
  kill(server, SIGTERM);
  if (wait4(server, &x.status, 0, &x.usage) != server)
    die("wait4");
  if (client_status != 0)
    x.status = client_status;
  return x;
}

// smaps_rollup is exact; the counters behind statm and ru_maxrss lag by up to some hundred KiB.
long resident_kib(pid_t pid) {
  char path[64];
  char text[4096];
  snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
  close(fd);
  text[length > 0 ? length : 0] = 0;
  const char *line = strstr(text, "Rss:");
  return line ? atol(line + 4) : -1;
}

result run_traced(const request &r, char **environment) {
  result x;
  const pid_t child = fork();
  if (child < 0)
    die("fork");
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    become(r.program, environment);
  }
  waitpid(child, &x.status, 0);
  ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL);
  for (long signal = 0;;) {
    ptrace(PTRACE_CONT, child, nullptr, signal);
    if (wait4(child, &x.status, 0, &x.usage) != child)
      die("wait4");
    if (!WIFSTOPPED(x.status))
      return x;
    if (x.status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8)))
      x.exit_rss_kib = resident_kib(child);
    signal = WSTOPSIG(x.status) == SIGTRAP ? 0 : WSTOPSIG(x.status);
  }
}

void print(FILE *out, const result &x) {
  const rusage &u = x.usage;
  const int code = WIFEXITED(x.status) ? WEXITSTATUS(x.status) : 128 + WTERMSIG(x.status);
  fprintf(
      out,
      "{\"wall_ns\": %ld, \"user_us\": %ld, \"sys_us\": %ld, \"maxrss_kib\": %ld, \"minflt\": %ld, \"majflt\": %ld, "
      "\"exit_rss_kib\": %ld, \"code\": %d}\n",
      x.wall_ns, u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec, u.ru_stime.tv_sec * 1000000 + u.ru_stime.tv_usec,
      u.ru_maxrss, u.ru_minflt, u.ru_majflt, x.exit_rss_kib, code);
}

bool parse(int argc, char **argv, request &r) {
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i];
    if (!strcmp(name, "--")) {
      r.program = argv + i + 1;
      return r.out && *r.program && (r.socket != nullptr) == (r.client != nullptr);
    }
    if (!strcmp(name, "--exit-rss")) {
      r.exit_rss = true;
      continue;
    }
    if (++i == argc)
      return false;
    if (!strcmp(name, "--out"))
      r.out = argv[i];
    else if (!strcmp(name, "--env") && r.setting_count < sizeof(r.settings) / sizeof(r.settings[0]))
      r.settings[r.setting_count++] = argv[i];
    else if (!strcmp(name, "--repeat"))
      r.repeat = atol(argv[i]);
    else if (!strcmp(name, "--socket"))
      r.socket = argv[i];
    else if (!strcmp(name, "--client"))
      r.client = argv[i];
    else
      return false;
  }
  return false;
}

} // namespace

int main(int argc, char **argv) {
  request r;
  if (!parse(argc, argv, r)) {
    fputs(
        "usage: measure --out FILE [--env NAME=VALUE]... [--repeat N] [--exit-rss] [--socket PATH --client COMMAND] -- "
        "PROGRAM ARGS...\n",
        stderr);
    return 2;
  }
  FILE *out = fopen(r.out, "we");
  if (!out)
    die(r.out);
  char **environment = environment_with(r.settings, r.setting_count);
  for (long i = 0; i < r.repeat; i++)
    print(out, r.socket     ? run_server(r, environment)
               : r.exit_rss ? run_traced(r, environment)
                            : run_plain(r, environment));
  return fclose(out) == 0 ? 0 : 1;
}
