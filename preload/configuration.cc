// SPDX-License-Identifier: BSD-2-Clause
#include "preload/configuration.h"

#include <csignal>
#include <cstring>

#include "core/stack_node.h"
#include "shim/panic.h"
#include "shim/system.h"
#include "shim/text.h"

namespace m9 {
namespace {

struct key {
  const char *name;
  const char *fallback; // what is used instead of a bad value
  const char *help;     // nullptr: not for users
  bool (*set)(configuration &c, const char *value);
};

bool set_bool(const char *value, bool &to) {
  to = text_equal(value, "true");
  return to || text_equal(value, "false");
}

bool set_number(const char *value, uint32_t &to, uint64_t most) {
  uint64_t v = 0;
  if (!*value)
    return false;
  for (; *value; value++) {
    if (*value < '0' || *value > '9' || (v = v * 10 + uint64_t(*value - '0')) > most)
      return false;
  }
  to = uint32_t(v);
  return true;
}

using path_room = char[path_most];

bool set_path(path_room &room, const char *value, const char *&to) {
  if (!*value || text_length(value) >= sizeof room)
    return false;
  strcpy(room, value);
  to = room;
  return true;
}

bool set_dump(configuration &c, const char *value) {
  for (const char *s = value; *s; s++)
    if (*s == '%' && (!s[1] || !strchr("petn%", *++s)))
      return false;
  static path_room room;
  return set_path(room, value, c.dump);
}

bool set_types(configuration &c, const char *value) {
  static path_room room;
  return set_path(room, value, c.types);
}

bool set_stats(configuration &c, const char *value) {
  static path_room room;
  if (*value != '/' || !set_path(room, value, c.stats))
    return false;
  for (size_t n = text_length(room); n > 1 && room[n - 1] == '/';) // behind which a link would be followed
    room[--n] = 0;
  return true;
}

bool set_keep(configuration &c, const char *value) {
  c.keep_all = text_equal(value, "all");
  c.keep_first = c.keep_all || text_equal(value, "first");
  return c.keep_first || text_equal(value, "killed");
}

bool set_signal(configuration &c, const char *value) {
  struct {
    const char *name;
    int number;
  } known[] = {{"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"HUP", SIGHUP}, {"QUIT", SIGQUIT}, {"ALRM", SIGALRM}};
  if (strncmp(value, "SIG", 3) == 0)
    value += 3;
  for (auto &k : known)
    if (text_equal(value, k.name))
      c.dump_signal = k.number;
  return c.dump_signal != 0;
}

constexpr key keys[] = {
    {"print", "nothing", "print:exit          print the table of types on standard error when the program ends",
     [](configuration &c, const char *v) { return c.print_exit = text_equal(v, "exit"); }},
    {"dump", "nothing",
     "dump:PATH           write the statistics to PATH when the program ends; %p pid, %e program, %t time, %n number",
     set_dump},
    {"dump_signal", "nothing", "dump_signal:USR2    write them whenever this signal comes, too", set_signal},
    {"stats", "nothing",
     "stats:FOLDER        count in a file in this folder (an absolute path), for malloc9 to read at any time",
     set_stats},
    {"keep", "first",
     "keep:first|all|killed  of processes that came to their end, keep the stats file of the first (default), all, "
     "none",
     set_keep},
    {"rseq", "true", "rseq:true|false     use restartable sequences (default true); false: the slower fallback",
     [](configuration &c, const char *v) {
       bool on = true, good = set_bool(v, on);
       c.heap.rseq = !good || on;
       return good;
     }},
    {"decay_ms", "1000", "decay_ms:N          give memory back that was idle for N milliseconds (default 1000)",
     [](configuration &c, const char *v) { return set_number(v, c.heap.decay_ms, 3600 * 1000); }},
    {"depth", "8",
     "depth:N             go up to N frames from malloc to the first that is no wrapper (default 8; 1: none)",
     [](configuration &c, const char *v) { return set_number(v, c.heap.depth, 64) && c.heap.depth >= 1; }},
    {"stack", "0",
     "stack:N             a type is a whole chain of up to N callers (up to 64; default 0: the site alone)",
     [](configuration &c, const char *v) { return set_number(v, c.heap.stack, stack_frames_most); }},
    {"types", "no rules", "types:FILE          name types by the rules in FILE (libmalloc9(3) has their format)",
     set_types},
    {"audit", "nothing", "audit:exit          check the books when the program ends, and abort if they do not balance",
     [](configuration &c, const char *v) { return c.audit_exit = text_equal(v, "exit"); }},
    {"help", "false", "help:true           print this list", nullptr},
    {"dump_private", "false", nullptr, [](configuration &c, const char *v) { return set_bool(v, c.dump_private); }},
    {"first", "nothing", nullptr,
     [](configuration &c, const char *v) { return set_number(v, c.first_pid, UINT32_MAX); }},
};

void help() {
  complain("MALLOC9_CONF=key:value,key:value,... takes");
  for (const key &k : keys)
    if (k.help)
      complain(k.help);
}

void set(configuration &c, const char *name, const char *value) {
  text_buffer<512> line;
  line.add("MALLOC9_CONF: ");
  for (const key &k : keys) {
    if (!text_equal(name, k.name))
      continue;
    bool on = false;
    if (!k.set ? set_bool(value, on) : k.set(c, value)) {
      if (on)
        help();
      return;
    }
    complain(line.add("bad value \"").add(value).add("\" for ").add(name).add(", using ").add(k.fallback).c_str());
    return;
  }
  complain(line.add("unknown key \"").add(name).put('"').c_str());
}

} // namespace

constinit configuration conf;

void configuration_parse(configuration &c, const char *value) {
  while (*value) {
    text_buffer<64> name;
    text_buffer<path_most> text;
    while (*value && *value != ',' && *value != ':')
      name.put(*value++);
    if (*value == ':')
      value++;
    while (*value && *value != ',')
      text.put(*value++);
    if (*value == ',')
      value++;
    if (name.size() || text.size())
      set(c, name.c_str(), text.c_str());
  }
}

} // namespace m9
