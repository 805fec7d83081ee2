// SPDX-License-Identifier: BSD-2-Clause
//
// A recording: what the types of a process held at many moments. This is the one declaration of its format.
//
// A recording_header, then records: a byte (record_kind), the length of what follows as a varint, and that. Kinds that
// are not known are skipped. A file that ends within a record was cut short; what is before counts. Numbers are
// varints: seven bits a byte, lowest first, the top bit set in all bytes but the last; signed ones are zigzag-coded
// (0, -1, 1, -2, ... as 0, 1, 2, 3, ...). Texts are a varint length and their bytes.
//   program     text program, text command
//   type        text name, text module path, text build-id (hexadecimal), offset, flags; types are numbered from 0
//   sample      microseconds since the sample before (of the first: 0); number of types that changed; for each its
//   number
//               less that of the one before it less 1 (the first's: its number), and the signed differences of
//               numallocs, numfrees, memalloced, memfreed from what they were. A type is declared before its first
//               sample.
//   mark        text name, microseconds since the first sample
//   statistics  a whole dump, as it was at the last sample
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/view.h"
#include "tool/model.h"
#include "tool/output.h"

namespace m9::tool {

constexpr char recording_magic[8] = {'m', 'a', 'l', 'l', 'o', 'c', '9', 'r'};
constexpr uint32_t recording_version = 1;

struct recording_header {
  char magic[8];
  uint32_t version;
  uint32_t header_size; // bytes; records follow
  uint32_t byte_order;  // format::byte_order_mark
  uint32_t mode;        // format::run_mode
  uint64_t pid;
  uint64_t start_ns; // CLOCK_REALTIME, when the process began
  uint64_t time_ns;  // CLOCK_REALTIME, of the first sample
};
static_assert(sizeof(recording_header) == 48);

enum class record_kind : uint8_t { program = 1, type = 2, sample = 3, statistics = 4, mark = 5 };

// Writes one, sample by sample; whatever was written by then is a recording.
class recorder {
public:
  recorder(output &to, const model &first);
  void sample(const model &m, double seconds); // since the first
  // The same by the sums of the types of that model, as they are now. False, and nothing is written: a type is among
  // them that had counted nothing.
  bool sample(const std::vector<type_sum> &sums, double seconds);
  void mark(const std::string &name, double seconds); // since the first, in any order
  // The dump that goes with the last sample.
  void finish(const model &last);

  uint64_t samples() const { return count; }
  uint64_t types() const { return totals.size(); }
  uint64_t bytes() const { return written; }

private:
  uint32_t number_of(const model &m, size_t index);
  void record(record_kind kind, const std::string &content);
  void record_changes(const std::vector<counts> &now, double seconds);

  output &out;
  std::unordered_map<std::string, uint32_t> numbers; // by identity
  std::vector<uint32_t> places; // number of the model's i-th type at the last sample, and what it was called then
  std::vector<std::string> place_names;
  std::vector<counts> totals; // by number
  uint64_t count = 0, written = 0, last_us = 0;
};

bool is_recording(const std::string &path);

class recording {
public:
  // Throws error: "PATH: what is wrong (at byte N)".
  explicit recording(const std::string &path);
  recording(std::string path, std::string bytes);

  struct change {
    uint32_t type;
    counts total;
  };
  // Every sample in order: its time, and the types that changed, with what they then had.
  void each(const std::function<void(double seconds, const std::vector<change> &)> &see) const;

  // A moment that the program, or somebody else, gave a name.
  struct mark {
    double seconds; // since the first sample
    std::string name;
  };
  const std::vector<mark> &marks() const { return made_marks; } // the earliest first

  bool cut_short() const { return is_cut; }
  uint64_t samples() const { return sample_count; }
  // The statistics at the end: the dump, or where there is none, what the samples tell.
  model last() const;
  // By number: where the type is in last().types; UINT32_MAX: it never allocated.
  std::vector<uint32_t> places(const model &in) const;

private:
  struct declared {
    std::string name, module, build_id;
    uint64_t offset = 0;
    uint32_t flags = 0;
  };
  void check();
  model made() const;

  std::string path, bytes;
  recording_header header{};
  std::string program, command;
  std::vector<declared> types;
  std::vector<counts> totals;
  std::vector<mark> made_marks;
  size_t dump_at = 0, dump_size = 0;
  uint64_t sample_count = 0;
  bool is_cut = false;
};

} // namespace m9::tool
