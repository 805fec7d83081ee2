// SPDX-License-Identifier: BSD-2-Clause
#include "tool/program_check.h"

#include <cerrno>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tool/elf_file.h"
#include "tool/environment.h"
#include "tool/error.h"
#include "tool/unique_fd.h"

namespace m9::tool {
namespace {

constexpr int max_interpreters = 5; // the kernel's own limit

struct found_program {
  std::string path;
  std::string problem;
};

bool is_regular_file(const std::string &path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
}

std::string why_not_executable(const std::string &path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0)
    return errno_text(errno);
  if (S_ISDIR(st.st_mode))
    return "is a directory";
  if (!S_ISREG(st.st_mode))
    return "is not a regular file";
  return ::access(path.c_str(), X_OK) == 0 ? "" : errno_text(errno);
}

found_program find_program(const std::string &name) {
  if (name.find('/') != std::string::npos)
    return {name, why_not_executable(name)};
  const std::string path = environment_value("PATH");
  std::istringstream folders(path.empty() ? "/usr/local/bin:/bin:/usr/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    if (is_regular_file(candidate) && ::access(candidate.c_str(), X_OK) == 0)
      return {candidate, ""};
  }
  return {name, "not found in PATH"};
}

// The dynamic linker ignores LD_PRELOAD where an exec gains rights.
std::string gains_rights(const std::string &path) {
  struct stat st {};
  struct statvfs fs {};
  if (::stat(path.c_str(), &st) != 0 || ::statvfs(path.c_str(), &fs) != 0)
    return "";
  if ((fs.f_flag & ST_NOSUID) != 0 || ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
    return "";
  if ((st.st_mode & S_ISUID) != 0 && st.st_uid != ::getuid())
    return "is setuid";
  if ((st.st_mode & S_ISGID) != 0 && (st.st_mode & S_IXGRP) != 0 && st.st_gid != ::getgid())
    return "is setgid";
  if (::getuid() != 0 && ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0)
    return "has file capabilities";
  return "";
}

const char *other_malloc(const std::string &library) {
  for (const char *prefix : {"libjemalloc", "libtcmalloc", "libmimalloc", "libsnmalloc", "libhardened_malloc"})
    if (library.starts_with(prefix))
      return prefix;
  return nullptr;
}

std::string sanitizer_of(const elf_facts &facts) {
  if (!facts.sanitizer.empty())
    return facts.sanitizer;
  for (const std::string &library : facts.needed) {
    if (library.starts_with("libasan.so"))
      return "AddressSanitizer";
    if (library.starts_with("libhwasan.so"))
      return "HWAddressSanitizer";
    if (library.starts_with("libtsan.so"))
      return "ThreadSanitizer";
    if (library.starts_with("liblsan.so"))
      return "LeakSanitizer";
  }
  return "";
}

// e_machine of this program's own file.
unsigned this_machine() {
  const unique_fd fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const auto facts = elf_read(fd.get());
  return facts ? facts->machine : 0;
}

std::string warning_of(const std::string &path, const elf_facts &facts) {
  for (const std::string &library : facts.needed)
    if (other_malloc(library) != nullptr)
      return fmt::format("{}: is linked with {}, whose malloc malloc9 replaces", path, library);
  if (!facts.inner_malloc.empty())
    return fmt::format("{}: contains {}; what comes from it is not seen", path, facts.inner_malloc);
  return "";
}

std::string problem_of(const elf_facts &facts) {
  if (!facts.is_64bit)
    return "is a 32-bit program, and libmalloc9.so is 64-bit";
  if (facts.machine != this_machine())
    return "is a program for another kind of machine";
  if (facts.interpreter.empty())
    return "is statically linked, so no library can be preloaded into it";
  if (facts.interpreter.find("ld-musl") != std::string::npos)
    return "is linked with musl, and libmalloc9.so needs glibc";
  const std::string sanitizer = sanitizer_of(facts);
  if (!sanitizer.empty())
    return fmt::format("is built with {}, which has a malloc of its own", sanitizer);
  if (facts.exports_malloc || facts.contains_malloc)
    return "has a malloc of its own, which it uses instead of a preloaded one";
  return "";
}

// What follows "#!": the interpreter and its only argument.
struct interpreter_line {
  std::string path, argument;
};

interpreter_line parse_interpreter(std::string line) {
  line.resize(std::min(line.find('\n'), line.size()));
  constexpr const char *blanks = " \t\r";
  const size_t begin = line.find_first_not_of(blanks, 2);
  if (begin == std::string::npos)
    return {};
  const size_t end = std::min(line.find_first_of(blanks, begin), line.size());
  const size_t argument = line.find_first_not_of(blanks, end);
  const size_t last = line.find_last_not_of(blanks);
  return {line.substr(begin, end - begin),
          argument == std::string::npos ? "" : line.substr(argument, last + 1 - argument)};
}

std::string base_name(const std::string &path) { return path.substr(path.rfind('/') + 1); }

// The file that a script runs; `env NAME` is looked through.
found_program interpreter_of(const interpreter_line &line) {
  if (line.path.empty())
    return {"", "its #! line names no interpreter"};
  if (base_name(line.path) == "env" && !line.argument.empty() && line.argument[0] != '-' &&
      line.argument.find_first_of("= \t") == std::string::npos)
    return find_program(line.argument);
  return find_program(line.path.find('/') != std::string::npos ? line.path : "./" + line.path);
}

} // namespace

program_verdict program_check(const std::string &name) {
  const found_program program = find_program(name);
  program_verdict verdict{program.path, "", ""};
  if (!program.problem.empty()) {
    verdict.path.clear();
    verdict.problem = fmt::format("{}: {}", name, program.problem);
    return verdict;
  }
  std::string path = program.path;
  for (int depth = 0; depth < max_interpreters; depth++) {
    const std::string rights = gains_rights(path);
    const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    char start[256] = {};
    const ssize_t size = fd ? ::pread(fd.get(), start, sizeof start - 1, 0) : -1;
    if (size >= 2 && start[0] == '#' && start[1] == '!') { // the kernel ignores a script's own rights
      const found_program interpreter = interpreter_of(parse_interpreter({start, static_cast<size_t>(size)}));
      if (!interpreter.problem.empty()) {
        const std::string of_whom =
            interpreter.path.empty() ? "" : fmt::format("its interpreter {}: ", interpreter.path);
        verdict.problem = fmt::format("{}: {}{}", path, of_whom, interpreter.problem);
        return verdict;
      }
      path = interpreter.path;
      continue;
    }
    if (!rights.empty()) {
      verdict.problem = fmt::format("{}: {}, so the dynamic linker ignores LD_PRELOAD", path, rights);
      return verdict;
    }
    if (size < 0)
      return verdict; // executable, but not readable
    const auto facts = elf_read(fd.get());
    const std::string problem =
        facts ? problem_of(*facts) : "is neither an ELF program nor a script that begins with #!";
    if (!problem.empty())
      verdict.problem = fmt::format("{}: {}", path, problem);
    else
      verdict.warning = warning_of(path, *facts);
    return verdict;
  }
  verdict.problem = fmt::format("{}: too many interpreters of interpreters", name);
  return verdict;
}

std::string library_problem(const std::string &path) {
  if (path.find_first_of(": ") != std::string::npos)
    return "LD_PRELOAD cannot name a path with a space or a colon";
  const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return errno_text(errno);
  const auto facts = elf_read(fd.get());
  if (!facts || !facts->is_shared || !facts->exports_malloc)
    return "is not libmalloc9.so";
  return facts->is_64bit && facts->machine == this_machine() ? "" : "is for another kind of machine";
}

} // namespace m9::tool
