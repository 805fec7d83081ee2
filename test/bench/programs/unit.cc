// SPDX-License-Identifier: BSD-2-Clause
//
// A translation unit that is big once it is preprocessed and that instantiates many templates. Compiled by the bench,
// never linked.
#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

template <int n> struct record {
  std::map<std::string, std::vector<std::tuple<int, double, std::string>>> by_name;
  std::unordered_map<int, std::variant<int, std::string, std::vector<double>>> by_id;

  auto names() const {
    std::set<std::string> s;
    for (const auto &[name, rows] : by_name)
      if (std::any_of(rows.begin(), rows.end(), [](const auto &row) { return std::get<0>(row) > n; }))
        s.insert(name);
    return s;
  }
  double sum() const {
    double total = 0;
    for (const auto &[id, value] : by_id)
      total += std::visit(
          [](const auto &v) -> double {
            if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>)
              return double(v.size());
            else if constexpr (std::is_same_v<std::decay_t<decltype(v)>, int>)
              return v + n;
            else
              return std::accumulate(v.begin(), v.end(), 0.0);
          },
          value);
    return total;
  }
};

template <int... n> double all(std::integer_sequence<int, n...>) {
  return (... + (record<n>{}.sum() + double(record<n>{}.names().size())));
}

double everything() { return all(std::make_integer_sequence<int, 5>()); }
