// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <cstring>

#include "tool/recording.h"
#include "tool/watch.h"
#include "tool/writer.h"

namespace m9::tool {
namespace {

void put_number(std::string &to, uint64_t n) {
  for (; n >= 0x80; n >>= 7)
    to += static_cast<char>(n | 0x80);
  to += static_cast<char>(n);
}

void put_difference(std::string &to, uint64_t now, uint64_t before) {
  const uint64_t difference = now - before; // in two's complement
  put_number(to, (difference << 1) ^ (difference >> 63 != 0 ? UINT64_MAX : 0));
}

void put_text(std::string &to, const std::string &text) {
  put_number(to, text.size());
  to += text;
}

bool same(const counts &a, const counts &b) {
  return a.numallocs == b.numallocs && a.numfrees == b.numfrees && a.memalloced == b.memalloced &&
         a.memfreed == b.memfreed;
}

} // namespace

recorder::recorder(output &to, const model &first) : out(to) {
  recording_header header{};
  std::memcpy(header.magic, recording_magic, sizeof header.magic);
  header.version = recording_version;
  header.header_size = sizeof header;
  header.byte_order = format::byte_order_mark;
  header.mode = static_cast<uint32_t>(first.mode);
  header.pid = first.pid;
  header.start_ns = first.start_ns;
  header.time_ns = first.time_ns;
  out.put({reinterpret_cast<const char *>(&header), sizeof header});
  written = sizeof header;
  std::string content;
  put_text(content, first.program);
  put_text(content, first.command);
  record(record_kind::program, content);
}

void recorder::record(record_kind kind, const std::string &content) {
  std::string head(1, static_cast<char>(kind));
  put_number(head, content.size());
  out.put(head);
  out.put(content);
  written += head.size() + content.size();
}

// Types of a process keep their places from look to look, so that their identities are rarely needed.
uint32_t recorder::number_of(const model &m, size_t index) {
  const model_type &type = m.types[index];
  if (index < places.size() && place_names[index] == type.name)
    return places[index];
  const auto [at, is_new] = numbers.try_emplace(type_identity(m, type), static_cast<uint32_t>(totals.size()));
  if (is_new) {
    totals.emplace_back();
    std::string content;
    put_text(content, type.name);
    const bool has_module = type.module < m.modules.size();
    put_text(content, has_module ? m.modules[type.module].path : "");
    put_text(content, has_module ? m.modules[type.module].build_id : "");
    put_number(content, type.offset);
    put_number(content, type.flags);
    record(record_kind::type, content);
  }
  if (index >= places.size()) {
    places.resize(index + 1);
    place_names.resize(index + 1);
  }
  places[index] = at->second;
  place_names[index] = type.name;
  return at->second;
}

// A type that is gone, as after exec, holds nothing from then on.
void recorder::sample(const model &m, double seconds) {
  std::vector<counts> now(totals.size());
  for (size_t i = 0; i < m.types.size(); i++)
    if (const counts total = type_total(m.types[i]); total.any()) {
      const uint32_t number = number_of(m, i);
      now.resize(totals.size());
      now[number] += total;
    }
  record_changes(now, seconds);
}

bool recorder::sample(const std::vector<type_sum> &sums, double seconds) {
  std::vector<counts> now(totals.size());
  for (size_t i = 0; i < sums.size(); i++) {
    const counts total{sums[i].numallocs, sums[i].numfrees, sums[i].memalloced, sums[i].memfreed};
    if (!total.any())
      continue;
    if (i >= places.size() || place_names[i].empty())
      return false;
    now[places[i]] += total;
  }
  record_changes(now, seconds);
  return true;
}

void recorder::record_changes(const std::vector<counts> &now, double seconds) {
  std::string changes;
  uint64_t changed = 0, next = 0;
  for (uint32_t number = 0; number < now.size(); number++) {
    counts &before = totals[number];
    const counts &total = now[number];
    if (same(before, total))
      continue;
    put_number(changes, number - next);
    put_difference(changes, total.numallocs, before.numallocs);
    put_difference(changes, total.numfrees, before.numfrees);
    put_difference(changes, total.memalloced, before.memalloced);
    put_difference(changes, total.memfreed, before.memfreed);
    before = total;
    next = uint64_t{number} + 1;
    changed++;
  }
  const auto us = static_cast<uint64_t>(seconds * 1e6);
  std::string content;
  put_number(content, us > last_us ? us - last_us : 0);
  put_number(content, changed);
  record(record_kind::sample, content + changes);
  last_us = std::max(us, last_us);
  count++;
}

void recorder::mark(const std::string &name, double seconds) {
  std::string content;
  put_text(content, name);
  put_number(content, static_cast<uint64_t>(seconds * 1e6));
  record(record_kind::mark, content);
}

void recorder::finish(const model &last) {
  record(record_kind::statistics, model_write(last));
  out.finish();
}

} // namespace m9::tool
