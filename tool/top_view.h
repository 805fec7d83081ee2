// SPDX-License-Identifier: BSD-2-Clause
//
// What `malloc9 top` shows, as text, and what keys do to it; the screen itself is elsewhere, so that this can be tested
// and printed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tool/naming.h"
#include "tool/watch.h"

namespace m9::tool {

enum class top_key { memuse, inuse, highuse, allocs, frees, growth, requests, name };

// "memuse" and the like; the letter that chooses it; nothing: no such key.
std::optional<top_key> top_key_of(const std::string &word);
std::optional<top_key> top_key_of(int letter);
std::vector<std::string> top_key_words();

// Names, kept from look to look, as debug information is slow to read.
class top_names {
public:
  explicit top_names(naming_options options) : how(std::move(options)) {}
  const std::string &shown(const model &m, const model_type &type);

private:
  naming_options how;
  std::unordered_map<std::string, std::string> known; // by identity
};

class top_view {
public:
  top_view(watch &what, naming_options options) : seen(what), names(options), how(std::move(options)) {}

  top_key sort = top_key::memuse;
  std::string filter; // part of a name, in any case

  // Sorts and filters what was seen last. The chosen type stays chosen, wherever it goes.
  void refresh();

  size_t size() const { return rows.size(); }
  size_t chosen() const { return at; }
  void choose(size_t row);
  const watched_type *type(size_t row) const { return row < rows.size() ? &seen.types()[rows[row]] : nullptr; }
  const std::string &name(const watched_type &type);

  std::string summary() const;
  std::string heading(int width) const;
  std::string row(size_t index, int width);
  // All that is known of the chosen type, a line each; empty: there is none.
  std::vector<std::string> details();

private:
  double measure(const watched_type &type) const;
  const named_site &site_of_chosen(const model_type &type);

  watch &seen;
  top_names names;
  naming_options how;
  std::vector<size_t> rows; // indices in seen.types()
  size_t at = 0;
  std::string chosen_identity;
  std::string opened_identity; // of the type that `opened` is of
  named_site opened;
};

} // namespace m9::tool
