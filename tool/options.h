// SPDX-License-Identifier: BSD-2-Clause
//
// The command line as verbs declare it. What parses it (CLI11) takes longer to compile than all else in the tool, so
// only options.cc includes it; a verb includes this.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace m9::tool {

// One verb. What is declared is filled in when the verb was chosen, before its action runs.
class verb_options {
public:
  explicit verb_options(CLI::App &declared) : verb(&declared) {}

  // Arguments without a dash. `name` is what help and errors call them.
  void operand(const std::string &name, std::string &to, const std::string &about, bool required = true);
  void operands(const std::string &name, std::vector<std::string> &to, const std::string &about, bool required = true);
  // `names`: "--json", or "-o,--output".
  void flag(const std::string &names, bool &to, const std::string &about);
  // `shown` stands for the value in the help.
  void text(const std::string &names, std::string &to, const std::string &about, const std::string &shown = "",
            bool required = false);
  // `--name` or `--name=TEXT`: whether it was there, and the text, if it had one.
  void text_or_not(const std::string &name, bool &given, std::string &to, const std::string &about);
  void texts(const std::string &names, std::vector<std::string> &to, const std::string &about,
             const std::string &shown = ""); // may be repeated
  void number(const std::string &names, uint64_t &to, const std::string &about, const std::string &shown = "N");
  void choice(const std::string &names, std::string &to, const std::vector<std::string> &words,
              const std::string &about, bool required = false);
  void exclude(const std::string &name, const std::string &other);
  // What the verb does; throws tool::error.
  void action(std::function<void()> act);

private:
  CLI::App *verb;
};

// What was declared, for completion. A value that is one of some words is shown as "this|that".
struct option_description {
  std::vector<std::string> names; // "-o", "--output"
  std::string about, shown;
  bool takes_value = false;
};
struct verb_description {
  std::string name, about;
  std::vector<option_description> options;
  std::string operand; // as `shown`, of the last argument without a dash
};

// All verbs together.
class command {
public:
  command(const std::string &about, const std::string &version);
  ~command();
  command(const command &) = delete;
  command &operator=(const command &) = delete;

  CLI::App &app() { return *root; }
  // Runs the verb that `arguments` (without argv[0]) ask for, or prints help or version. The status of bad use, or
  // exit_good; throws error.
  int run(const std::vector<std::string> &arguments);
  std::vector<verb_description> describe() const;

private:
  std::unique_ptr<CLI::App> root;
};

verb_options add_verb(CLI::App &app, const std::string &name, const std::string &about, const std::string &footer);

} // namespace m9::tool
