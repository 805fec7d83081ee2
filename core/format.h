// SPDX-License-Identifier: BSD-2-Clause
//
// The statistics format: one declaration for its writer (core/) and its reader (tool/). A file is a header, a table
// of sections and the sections, in any order. Integers are little-endian and naturally aligned; sections start at
// multiples of 8. A reader trusts no byte of it, skips sections whose kind it does not know, and accepts entries that
// are larger than it knows (later versions append fields); `entry_size` steps from one to the next.
//
// Invariants of a well-formed file, for a cell c of a quiescent process, summed over all CPUs:
//   numallocs(c) >= numfrees(c);   bytes of a small cell = count * zones[c.zone].size.
// A reader of a live file reads the frees of all CPUs before any allocs, so that live counts are never negative.
#pragma once

#include <cstddef>
#include <cstdint>

namespace m9::format {

constexpr char magic[8] = {'m', 'a', 'l', 'l', 'o', 'c', '9', '\n'};
constexpr uint32_t version = 1;
constexpr uint32_t byte_order_mark = 0x01020304;

enum class section_kind : uint32_t {
  strings = 1,  // bytes; all `text` references point into it
  modules = 2,  // struct module_entry
  types = 3,    // struct type_entry, in order of creation
  cells = 4,    // struct cell_entry
  cpus = 5,     // struct cpu_entry
  zones = 6,    // struct zone_entry, by size; the last one, of size 0, stands for all large allocations
  notes = 7,    // struct note_entry: named totals that belong to no type
  counters = 8, // the counters themselves, addressed by cpu_entry and cell_entry; entry_size 8
  // Of a forked child only: struct inherited_entry, one per cell and in their order.
  inherited = 9,
  // The same where processes were merged into one file: their sums, so that operations counted once are the counters
  // less these, and what was live is still in the counters alone. Never beside `inherited`.
  merged = 10,
  chains = 11, // struct chain_entry, each after its caller's, where types are chains (MALLOC9_CONF=stack:N)
  live = 12,   // struct live_entry, one: of a process that counts in this file as it runs
  peak = 13,   // struct peak_entry, one
};

// A string: `size` bytes at `offset` of the strings section, not terminated.
struct text {
  uint32_t offset;
  uint32_t size;
};

enum class run_mode : uint32_t { boot = 0, rseq = 1, fallback = 2, compact = 3 };

struct header {
  char magic[8];
  uint32_t version;
  uint32_t header_size; // bytes; the section table follows at sections_offset, not necessarily here
  uint32_t byte_order;  // byte_order_mark as written by the host
  uint32_t page_size;   // bytes, of the host
  uint64_t file_size;   // bytes, all sections included
  uint64_t sections_offset;
  uint32_t section_count;
  uint32_t section_size; // bytes from one section entry to the next
  run_mode mode;
  uint32_t sequence; // of the dumps of one process, from 1
  uint64_t pid;
  uint64_t start_ns; // CLOCK_REALTIME
  uint64_t time_ns;  // CLOCK_REALTIME, when this was written
  text program;      // base name
  text mode_reason;  // why not rseq; empty in rseq mode
  text command;      // the arguments, separated by spaces, may be cut short
};
static_assert(sizeof(header) == 104);

struct section {
  section_kind kind;
  uint32_t entry_size; // bytes from one entry to the next
  uint64_t count;      // entries
  uint64_t offset;     // bytes from the start of the file
};
static_assert(sizeof(section) == 24);

struct module_entry {
  text path;
  uint64_t base;  // load bias
  uint64_t start; // first mapped address
  uint64_t end;   // one past the last
  uint8_t build_id[32];
  uint32_t build_id_size; // 0 when it has none
  uint32_t flags;         // bit 0: unloaded since
};
static_assert(sizeof(module_entry) == 72);

constexpr uint32_t no_module = 0xffffffff;
constexpr uint32_t type_is_declared = 1; // by the program
constexpr uint32_t type_by_rule = 2;     // named by a rule of the user's, which may take in many sites

struct type_entry {
  text name;        // ks_shortdesc
  uint32_t module;  // index in modules, or no_module
  uint32_t flags;   // type_is_declared, type_by_rule; the other bits 0
  uint64_t offset;  // of the return address, from the module's load bias
  uint64_t highuse; // bytes: MemUse was at least this at some moment
};
static_assert(sizeof(type_entry) == 32);

// Where a type's counters for one zone are, within each CPU's block: {numallocs, numfrees} and, in the large zone,
// {numallocs, numfrees, bytes allocated, bytes freed}; uint64_t each.
struct cell_entry {
  uint32_t type; // index in types
  uint32_t zone; // index in zones
  uint32_t tag;  // within the zone
  uint32_t offset;
};
static_assert(sizeof(cell_entry) == 16);

// One CPU that ran. `cpu` is the kernel's number, or -1 for operations that could not be charged to a CPU.
struct cpu_entry {
  int32_t cpu;
  uint32_t reserved;
  uint64_t offset; // of its block, from the start of the counters section
  uint64_t size;   // bytes
};
static_assert(sizeof(cpu_entry) == 24);

struct zone_entry {
  uint64_t size;  // bytes of an item; 0: large
  uint64_t limit; // items that fit its address range; 0: unlimited
  uint64_t used;  // items that programs hold (large: allocations)
  uint64_t free;  // items in caches, buckets and slabs that are backed by pages or may be (large: bytes)
  uint64_t fail;  // requests that were refused
  uint64_t sleep; // requests that waited for the zone's lock
  uint64_t slabs; // slabs in use
  uint64_t reserved;
};
static_assert(sizeof(zone_entry) == 64);

// What the counters of a cell held right after the fork that made the process, summed over all CPUs. They still hold
// it: a process's own operations are the difference. Notes and the zones' `fail` and `sleep` of a child that has this
// section are its own alone.
struct inherited_entry {
  uint64_t numallocs;
  uint64_t numfrees;
  uint64_t memalloced; // bytes
  uint64_t memfreed;   // bytes
};
static_assert(sizeof(inherited_entry) == 32);

// A frame of a chain, and by `caller` the rest of it: chains share the frames that they have in common on the outside.
constexpr uint32_t no_chain = 0xffffffff;
constexpr uint32_t chain_frames_most = 64;
struct chain_entry {
  uint32_t caller; // index of its caller's entry, which comes before this one; no_chain: the outermost that is known
  uint32_t type;   // index in types, of the one whose whole chain this is; no_chain: none
  uint32_t module; // index in modules, or no_module
  uint32_t depth;  // frames from this one outwards: 1 without a caller, else one more than that has
  uint64_t offset; // of the return address, from the module's load bias
};
static_assert(sizeof(chain_entry) == 24);

struct note_entry {
  text name; // "foreign frees", "sites folded", ...
  uint64_t value;
};
static_assert(sizeof(note_entry) == 16);

// What only the file has that a process counts in (doc/design.md, "Live files"). In it sections grow: a count is stored
// once its entries are whole. `free` of a zone is what its slabs hold in all, `used` 0: both follow from the counters.
struct live_entry {
  uint32_t ended;         // not 0: the process came to its end by itself
  uint32_t incomplete;    // parts of the counters that are not in the file
  text reason;            // why, of the first
  uint64_t since_ns;      // CLOCK_REALTIME, since when
  uint64_t parent;        // process that made this one by fork, 0: none of ours
  uint64_t pid_namespace; // its inode
  uint64_t checked_ns;    // CLOCK_REALTIME: when notes and the large zone were last written
};
static_assert(sizeof(live_entry) == 48);

// The most that all types held together lay between `most - slack` and `most`.
struct peak_entry {
  uint64_t most;  // bytes
  uint64_t slack; // bytes that caches can have held at that time
};
static_assert(sizeof(peak_entry) == 16);

} // namespace m9::format
