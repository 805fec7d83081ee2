// SPDX-License-Identifier: BSD-2-Clause
//
// What a thread of journal.cc did, in memory that outlives it: a file, mapped shared.
#pragma once

#include <atomic>
#include <cstdint>

constexpr unsigned threads_most = 16;

// Written by its thread only, after the operation.
struct alignas(64) journal {
  std::atomic<uint64_t> allocs, bytes;                                  // at its own call site
  std::atomic<uint64_t> frees_of[threads_most], freed_of[threads_most]; // of the items of each thread; bytes
};
