// SPDX-License-Identifier: BSD-2-Clause
//
// profile.proto of github.com/google/pprof (proto/profile.proto), whose field numbers stand here by name. Text is
// referred to by its index in the string table, whose first entry is empty.
#include <algorithm>
#include <unordered_map>

#include <protozero/pbf_builder.hpp>
#include <zlib.h>

#include "tool/error.h"
#include "tool/export.h"

namespace m9::tool {
namespace {

enum class profile_field : protozero::pbf_tag_type {
  sample_type = 1,
  sample = 2,
  mapping = 3,
  location = 4,
  function = 5,
  string_table = 6,
  time_nanos = 9,
  duration_nanos = 10,
  period_type = 11,
  period = 12,
  default_sample_type = 14,
};
enum class value_type_field : protozero::pbf_tag_type { type = 1, unit = 2 };
enum class sample_field : protozero::pbf_tag_type { location_id = 1, value = 2 };
enum class mapping_field : protozero::pbf_tag_type {
  id = 1,
  memory_start = 2,
  memory_limit = 3,
  filename = 5,
  build_id = 6,
  has_functions = 7,
};
enum class location_field : protozero::pbf_tag_type { id = 1, mapping_id = 2, address = 3, line = 4 };
enum class line_field : protozero::pbf_tag_type { function_id = 1, line = 2 };
enum class function_field : protozero::pbf_tag_type { id = 1, name = 2, system_name = 3, filename = 4 };

class profile_writer {
public:
  std::string write(const model &m, const stacks &s) {
    text("");
    write_types();
    for (const stack_sample &sample : s.samples)
      write_sample(sample);
    for (size_t i = 0; i < m.modules.size(); i++)
      write_mapping(i + 1, m.modules[i]);
    for (size_t i = 0; i < s.places.size(); i++)
      write_location(m, i + 1, s.places[i]);
    profile.add_int64(profile_field::time_nanos, static_cast<int64_t>(m.time_ns));
    profile.add_int64(profile_field::duration_nanos,
                      static_cast<int64_t>(m.time_ns > m.start_ns ? m.time_ns - m.start_ns : 0));
    for (const std::string &s_text : texts)
      profile.add_string(profile_field::string_table, s_text);
    return std::move(bytes);
  }

private:
  int64_t text(const std::string &t) {
    const auto [at, is_new] = text_index.try_emplace(t, texts.size());
    if (is_new)
      texts.push_back(t);
    return static_cast<int64_t>(at->second);
  }

  void value_type(profile_field field, const char *type, const char *unit) {
    protozero::pbf_builder<value_type_field> value(profile, field);
    value.add_int64(value_type_field::type, text(type));
    value.add_int64(value_type_field::unit, text(unit));
  }

  // Named as in the heap profiles of Go, so that pprof's options for them work. Nothing is sampled: the period is 1.
  void write_types() {
    value_type(profile_field::sample_type, "alloc_objects", "count");
    value_type(profile_field::sample_type, "alloc_space", "bytes");
    value_type(profile_field::sample_type, "inuse_objects", "count");
    value_type(profile_field::sample_type, "inuse_space", "bytes");
    value_type(profile_field::period_type, "space", "bytes");
    profile.add_int64(profile_field::period, 1);
    profile.add_int64(profile_field::default_sample_type, text("inuse_space"));
  }

  void write_sample(const stack_sample &s) {
    protozero::pbf_builder<sample_field> sample(profile, profile_field::sample);
    std::vector<uint64_t> ids;
    for (const uint32_t place : s.places)
      ids.push_back(place + uint64_t{1});
    sample.add_packed_uint64(sample_field::location_id, ids.begin(), ids.end());
    const int64_t values[] = {static_cast<int64_t>(s.sum.numallocs), static_cast<int64_t>(s.sum.memalloced),
                              static_cast<int64_t>(s.sum.inuse), static_cast<int64_t>(s.sum.memuse)};
    sample.add_packed_int64(sample_field::value, std::begin(values), std::end(values));
  }

  void write_mapping(uint64_t id, const model_module &module) {
    const int64_t filename = text(module.path), build_id = text(module.build_id);
    protozero::pbf_builder<mapping_field> mapping(profile, profile_field::mapping);
    mapping.add_uint64(mapping_field::id, id);
    mapping.add_uint64(mapping_field::memory_start, module.start);
    mapping.add_uint64(mapping_field::memory_limit, module.end);
    mapping.add_int64(mapping_field::filename, filename);
    mapping.add_int64(mapping_field::build_id, build_id);
    mapping.add_bool(mapping_field::has_functions, true); // so that pprof does not look for them itself
  }

  void write_location(const model &m, uint64_t id, const stack_place &place) {
    std::vector<uint64_t> functions;
    for (const source_frame &frame : place.frames)
      functions.push_back(function_id(frame));
    protozero::pbf_builder<location_field> location(profile, profile_field::location);
    location.add_uint64(location_field::id, id);
    if (place.module < m.modules.size())
      location.add_uint64(location_field::mapping_id, place.module + uint64_t{1});
    if (place.address != 0)
      location.add_uint64(location_field::address, place.address);
    for (size_t i = 0; i < functions.size(); i++) {
      protozero::pbf_builder<line_field> line(location, location_field::line);
      line.add_uint64(line_field::function_id, functions[i]);
      line.add_int64(line_field::line, place.frames[i].line);
    }
  }

  uint64_t function_id(const source_frame &frame) {
    const auto [at, is_new] = function_index.try_emplace(frame.function + "\n" + frame.file, function_index.size() + 1);
    if (is_new) {
      const int64_t name = text(frame.function), file = text(frame.file);
      protozero::pbf_builder<function_field> function(profile, profile_field::function);
      function.add_uint64(function_field::id, at->second);
      function.add_int64(function_field::name, name);
      function.add_int64(function_field::system_name, name);
      function.add_int64(function_field::filename, file);
    }
    return at->second;
  }

  std::string bytes;
  protozero::pbf_builder<profile_field> profile{bytes};
  std::vector<std::string> texts;
  std::unordered_map<std::string, size_t> text_index;
  std::unordered_map<std::string, uint64_t> function_index;
};

std::string gzip(const std::string &text) {
  constexpr int with_gzip_header = 16 + MAX_WBITS;
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, with_gzip_header, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw error("pprof: zlib cannot start", exit_failed);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<z_const Bytef *>(const_cast<char *>(text.data())); // zlib does not write there
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef *>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END)
    throw error("pprof: the profile could not be compressed", exit_failed);
  return out;
}

} // namespace

std::string export_pprof(const model &m, naming &names) { return gzip(profile_writer().write(m, stacks_of(m, names))); }

} // namespace m9::tool
