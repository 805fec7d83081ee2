// SPDX-License-Identifier: BSD-2-Clause
#include "tool/options.h"

#include <algorithm>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tool/error.h"
#include "tool/output.h"

namespace m9::tool {
namespace {

// CLI11 asks for help and version by exceptions too.
int answer(const CLI::App &app, const CLI::ParseError &e) {
  std::ostringstream text;
  std::ostringstream errors;
  if (app.exit(e, text, errors) == 0) {
    output out = standard_output();
    out.put(text.str());
    out.finish();
    return exit_good;
  }
  std::string what = e.what();
  std::replace(what.begin(), what.end(), '\n', ' ');
  complain(what + " (malloc9 --help tells more)");
  return exit_bad_use;
}

// CLI11 says of a wrong verb only that some verb is required.
void check_verb(CLI::App &app, const std::vector<std::string> &arguments) {
  if (arguments.empty())
    throw error("which verb? (malloc9 --help lists them)");
  const std::string &first = arguments[0];
  const auto verbs = app.get_subcommands([&](const CLI::App *verb) { return verb->get_name() == first; });
  if (verbs.empty() && app.get_option_no_throw(first) == nullptr)
    throw error(fmt::format("{}: no such verb (malloc9 --help lists them)", printable(first)));
}

} // namespace

void verb_options::operand(const std::string &name, std::string &to, const std::string &about, bool required) {
  verb->add_option(name, to, about)->type_name("")->required(required);
}

void verb_options::operands(const std::string &name, std::vector<std::string> &to, const std::string &about,
                            bool required) {
  verb->add_option(name, to, about)->type_name("")->required(required);
}

void verb_options::flag(const std::string &names, bool &to, const std::string &about) {
  verb->add_flag(names, to, about);
}

void verb_options::text(const std::string &names, std::string &to, const std::string &about, const std::string &shown,
                        bool required) {
  verb->add_option(names, to, about)->type_name(shown)->required(required);
}

void verb_options::text_or_not(const std::string &name, bool &given, std::string &to, const std::string &about) {
  const auto take = [&given, &to](const CLI::results_t &values) {
    given = true;
    to = values.empty() ? "" : values.front();
    return true;
  };
  verb->add_option(name, take, about)->type_name("")->expected(0, 1);
}

void verb_options::texts(const std::string &names, std::vector<std::string> &to, const std::string &about,
                         const std::string &shown) {
  verb->add_option(names, to, about)->type_name(shown)->expected(1)->take_all();
}

void verb_options::number(const std::string &names, uint64_t &to, const std::string &about, const std::string &shown) {
  verb->add_option(names, to, about)->type_name(shown);
}

// What is not shown to be a choice is a file, or any text.
void verb_options::choice(const std::string &names, std::string &to, const std::vector<std::string> &words,
                          const std::string &about, bool required) {
  verb->add_option(names, to, about)
      ->type_name(fmt::format("{}", fmt::join(words, "|")))
      ->required(required)
      ->check(CLI::IsMember(words).description(""));
}

void verb_options::exclude(const std::string &name, const std::string &other) {
  verb->get_option(name)->excludes(verb->get_option(other));
}

void verb_options::action(std::function<void()> act) { verb->callback(std::move(act)); }

command::command(const std::string &about, const std::string &version)
    : root(std::make_unique<CLI::App>(about, "malloc9")) {
  root->set_version_flag("--version", version);
  root->require_subcommand(1);
  root->footer("`malloc9 VERB --help` says more of each. Exit status: 0 good, 1 failed, 2 bad use or bad input.");
}

command::~command() = default;

int command::run(const std::vector<std::string> &arguments) {
  check_verb(*root, arguments);
  try {
    root->parse(std::vector<std::string>(arguments.rbegin(), arguments.rend())); // CLI11 wants them backwards
  } catch (const CLI::ParseError &e) {
    return answer(*root, e);
  }
  return exit_good;
}

std::vector<verb_description> command::describe() const {
  std::vector<verb_description> verbs;
  for (const CLI::App *verb : root->get_subcommands([](const CLI::App *) { return true; })) {
    verbs.push_back({verb->get_name(), verb->get_description(), {}, ""});
    for (const CLI::Option *option : verb->get_options()) {
      option_description about{{}, option->get_description(), option->get_type_name(), false};
      for (const std::string &letter : option->get_snames())
        about.names.push_back("-" + letter);
      for (const std::string &name : option->get_lnames())
        about.names.push_back("--" + name);
      about.takes_value = option->get_items_expected_max() > 0;
      if (about.names.empty())
        verbs.back().operand = about.shown;
      else
        verbs.back().options.push_back(std::move(about));
    }
  }
  return verbs;
}

verb_options add_verb(CLI::App &app, const std::string &name, const std::string &about, const std::string &footer) {
  CLI::App *verb = app.add_subcommand(name, about);
  verb->footer(footer);
  return verb_options(*verb);
}

} // namespace m9::tool
