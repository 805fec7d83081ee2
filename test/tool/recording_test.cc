// SPDX-License-Identifier: BSD-2-Clause
//
// recording_test ROUNDS [SEED]: what was written into a recording is read from it, to the last count; and damaged
// recordings are refused by one error, or read, within 256 MiB and without a hang.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tool/error.h"
#include "tool/growth.h"
#include "tool/recording.h"
#include "tool/unique_fd.h"
#include "tool/watch.h"

using namespace m9;

namespace {

std::mt19937_64 random_source;

uint64_t below(uint64_t n) { return random_source() % n; }

void require(bool good, const char *what) {
  if (!good) {
    std::printf("FAILED: %s\n", what);
    std::exit(1);
  }
}

tool::model sample_model(size_t types) {
  tool::model m;
  m.program = "sample";
  m.command = "sample --fast";
  m.pid = 4711;
  m.page_size = 4096;
  m.modules.push_back({"/usr/bin/sample", std::string(40, 'a'), 0, 0x1000, 0x2000, 0});
  m.cpus = {0, 1};
  m.zones.push_back({48, 0, 0, 0, 0, 0, 0});
  m.zones.push_back({});
  m.peak = tool::bounds{1000, 2000};
  for (size_t i = 0; i < types; i++)
    m.types.push_back({"sample!f" + std::to_string(i) + "+0x1", 0, i, 0, 0, {{0, {{}, {}}}}});
  return m;
}

void step(tool::model &m) {
  for (tool::model_type &type : m.types)
    if (below(3) == 0) {
      tool::counts &c = type.cells[0].by_cpu[below(2)];
      const uint64_t n = below(1000) + 1;
      c.numallocs += n;
      c.memalloced += n * 48;
      const uint64_t back = below(n);
      c.numfrees += back;
      c.memfreed += back * 48;
    }
}

bool equal(const tool::counts &a, const tool::counts &b) {
  return a.numallocs == b.numallocs && a.numfrees == b.numfrees && a.memalloced == b.memalloced &&
         a.memfreed == b.memfreed;
}

using history = std::vector<std::vector<tool::counts>>; // by sample, by type

std::string recorded_bytes(history &truth, bool finish) {
  const std::string path = std::filesystem::temp_directory_path() / ("recording-" + std::to_string(::getpid()));
  {
    const tool::unique_fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    tool::output out(fd.get(), path);
    tool::model m = sample_model(20);
    tool::recorder writer(out, m);
    for (int i = 0; i < 50; i++) {
      if (i == 10)
        m.types.push_back({"sample!late+0x1", 0, 99, 0, 0, {{0, {{}, {}}}}});
      step(m);
      writer.sample(m, i * 0.02);
      if (i % 20 == 19)
        writer.mark("mark-" + std::to_string(i), i * 0.02);
      truth.emplace_back();
      for (const tool::model_type &type : m.types)
        truth.back().push_back(tool::type_total(type));
    }
    finish ? writer.finish(m) : out.finish();
  }
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::filesystem::remove(path);
  return bytes;
}

void check_round_trip(bool finish) {
  history truth;
  const tool::recording r("FILE", recorded_bytes(truth, finish));
  require(r.samples() == truth.size() && !r.cut_short(), "the number of samples");
  const tool::model last = r.last();
  const std::vector<uint32_t> places = r.places(last);
  std::vector<tool::counts> now(last.types.size());
  size_t sample = 0;
  r.each([&](double seconds, const std::vector<tool::recording::change> &changes) {
    require(seconds > static_cast<double>(sample) * 0.02 - 1e-5 && seconds < static_cast<double>(sample) * 0.02 + 1e-5,
            "the time of a sample");
    for (const auto &change : changes)
      now[places[change.type]] = change.total;
    for (size_t i = 0; i < truth[sample].size(); i++) {
      const std::string name = i == 20 ? "sample!late+0x1" : "sample!f" + std::to_string(i) + "+0x1";
      for (size_t t = 0; t < last.types.size(); t++)
        require(last.types[t].name != name || equal(now[t], truth[sample][i]), "the counts of a sample");
    }
    sample++;
  });
  for (size_t t = 0; t < last.types.size(); t++)
    require(equal(now[t], tool::type_total(last.types[t])), "the statistics at the end");
  const tool::page_growth growth = tool::growth_of(r, last, 10, 5);
  require(growth.lines.size() == 5 && growth.seconds.size() == 10 && growth.total.size() == 10, "the lines' sizes");
  uint64_t all = 0;
  for (const tool::counts &c : truth.back())
    all += c.memuse();
  require(growth.total.back() == all, "the last total");
  require(growth.marks.size() == 2 && growth.marks[0].second == "mark-19" && growth.marks[1].second == "mark-39" &&
              growth.marks[0].first > 0.379 && growth.marks[0].first < 0.381,
          "the marks");
  require(!finish || (last.peak && last.peak->least == 1000 && last.peak->most == 2000), "the peak");
}

void damage(std::string &bytes) {
  for (uint64_t n = below(3) + 1; n > 0; n--)
    switch (below(4)) {
    case 0:
      bytes[below(bytes.size())] = static_cast<char>(random_source());
      break;
    case 1:
      bytes[below(bytes.size())] ^= static_cast<char>(1U << below(8));
      break;
    case 2:
      bytes.resize(bytes.size() - below(bytes.size()));
      break;
    case 3:
      for (uint64_t at = below(bytes.size()), i = 0; i < 10 && at + i < bytes.size(); i++)
        bytes[at + i] = static_cast<char>(0xff);
      break;
    }
}

void check_damaged(uint64_t rounds) {
  history ignored;
  const std::string whole = recorded_bytes(ignored, true), unfinished = recorded_bytes(ignored, false);
  uint64_t read = 0;
  for (uint64_t i = 0; i < rounds; i++) {
    std::string bytes = i % 2 == 0 ? whole : unfinished;
    damage(bytes);
    try {
      const tool::recording r("FILE", bytes);
      const tool::model last = r.last();
      tool::growth_of(r, last);
      read++;
    } catch (const tool::error &e) {
      require(std::string(e.what()).starts_with("FILE: ") && std::string(e.what()).find('\n') == std::string::npos,
              e.what());
    }
  }
  std::printf("%lu damaged recordings: %lu read, the others refused\n", rounds, read);
  require(read != 0 && read != rounds, "some are read, some are refused");
}

} // namespace

int main(int argc, char **argv) {
  const uint64_t rounds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000;
  random_source.seed(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
  const rlimit limit{256 << 20, 256 << 20};
  require(::setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
  check_round_trip(true);
  check_round_trip(false);
  check_damaged(rounds);
}
