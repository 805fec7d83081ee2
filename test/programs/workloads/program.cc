// SPDX-License-Identifier: BSD-2-Clause
// A C++ program that makes a compiler instantiate much of the standard library.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#ifdef HEAVY
#include <regex>
#endif
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace {

template <int N> struct tower {
  std::map<std::string, std::vector<std::tuple<int, double, std::shared_ptr<tower<N - 1>>>>> floors;
  int height() const { return 1 + tower<N - 1>{}.height(); }
  void add(const std::string &name) { floors[name].emplace_back(N, N * 0.5, std::make_shared<tower<N - 1>>()); }
};
template <> struct tower<0> {
  int height() const { return 0; }
};

template <std::size_t... I> auto sum_of(std::index_sequence<I...>) {
  return (tower<static_cast<int>(I)>{}.height() + ... + 0);
}

using value = std::variant<int, double, std::string, std::vector<int>>;

std::string show(const value &v) {
  return std::visit(
      [](const auto &x) -> std::string {
        std::ostringstream out;
        if constexpr (std::is_same_v<std::decay_t<decltype(x)>, std::vector<int>>)
          out << std::accumulate(x.begin(), x.end(), 0);
        else
          out << x;
        return out.str();
      },
      v);
}

} // namespace

int main() {
  std::vector<value> values{1, 2.5, std::string("three"), std::vector<int>{4, 5, 6}};
  for (const auto &v : values)
    std::cout << show(v) << '\n';
  std::cout << sum_of(std::make_index_sequence<14>{}) << '\n';
  tower<12> t;
  for (int i = 0; i < 100; i++)
    t.add("floor " + std::to_string(i % 7));
  std::cout << t.floors.size() << '\n';
#ifdef HEAVY
  std::regex word("([a-z]+)([0-9]*)");
  const std::string text = "one1 two22 three333 four";
  for (auto it = std::sregex_iterator(text.begin(), text.end(), word); it != std::sregex_iterator(); ++it)
    std::cout << (*it)[1] << '/' << (*it)[2] << '\n';
#endif
  std::unordered_map<std::string, std::function<int(int)>> calls;
  for (int i = 0; i < 10; i++)
    calls["f" + std::to_string(i)] = [i](int x) { return x * i; };
  int total = 0;
  std::vector<std::thread> threads;
  std::vector<int> parts(4);
  for (int n = 0; n < 4; n++)
    threads.emplace_back([&parts, n] {
      std::vector<std::string> kept;
      for (int i = 0; i < 20000; i++)
        kept.push_back(std::string(static_cast<std::size_t>(i % 97), 'x'));
      for (const auto &s : kept)
        parts[static_cast<std::size_t>(n)] += static_cast<int>(s.size());
    });
  for (auto &thread : threads)
    thread.join();
  for (auto &[name, call] : calls)
    total += call(3);
  std::cout << total << ' ' << std::accumulate(parts.begin(), parts.end(), 0) << '\n';
}
