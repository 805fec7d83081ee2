// SPDX-License-Identifier: BSD-2-Clause
#include "tool/completion.h"

#include <algorithm>

#include <fmt/format.h>

namespace m9::tool {
namespace {

// Of "this|that"; none if the value is no choice.
std::vector<std::string> words_of(const std::string &shown) {
  std::vector<std::string> words;
  if (shown.find('|') == std::string::npos)
    return words;
  for (size_t at = 0; at <= shown.size();) {
    const size_t end = std::min(shown.find('|', at), shown.size());
    words.push_back(shown.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::string joined(const std::vector<std::string> &words, const char *between) {
  return fmt::format("{}", fmt::join(words, between));
}

std::string escaped(const std::string &text, std::string_view special) {
  std::string out;
  for (const char c : text)
    out.append(special.find(c) != std::string_view::npos ? "\\" : "").append(1, c);
  return out;
}

// Within '...' of bash and zsh; fish knows \' there.
std::string shell_quoted(const std::string &text) {
  std::string out = "'";
  for (const char c : text)
    out.append(c == '\'' ? "'\\''" : std::string(1, c));
  return out + "'";
}

std::string bash_verb(const verb_description &verb) {
  std::string text = fmt::format("  {})\n    case $previous in\n", verb.name);
  std::vector<std::string> all;
  for (const option_description &option : verb.options) {
    all.insert(all.end(), option.names.begin(), option.names.end());
    if (option.takes_value)
      text += fmt::format("    {}) words={} ;;\n", joined(option.names, " | "),
                          shell_quoted(joined(words_of(option.shown), " ")));
  }
  return text + fmt::format("    *) if [[ $current == -* ]]; then words={}; else words={}; fi ;;\n    esac\n    ;;\n",
                            shell_quoted(joined(all, " ")), shell_quoted(joined(words_of(verb.operand), " ")));
}

std::string bash(const std::vector<verb_description> &verbs) {
  std::vector<std::string> names;
  std::string cases;
  for (const verb_description &verb : verbs) {
    names.push_back(verb.name);
    cases += bash_verb(verb);
  }
  return fmt::format("# bash completion of malloc9, written by `malloc9 completion bash`.\n"
                     "_malloc9() {{\n"
                     "  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} words=\n"
                     "  local verb=${{COMP_WORDS[1]}}\n"
                     "  [[ $COMP_CWORD -le 1 ]] && verb=\n"
                     "  case $verb in\n"
                     "  '') words={} ;;\n{}"
                     "  esac\n"
                     "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
                     "}}\n"
                     "complete -o default -F _malloc9 malloc9\n",
                     shell_quoted(joined(names, " ") + " --help --version"), cases);
}

std::string zsh_option(const option_description &option) {
  std::string spec = fmt::format("[{}]", escaped(option.about, "[]:\\"));
  if (option.takes_value) {
    const std::vector<std::string> words = words_of(option.shown);
    spec += fmt::format(":{}:{}", option.shown.empty() || !words.empty() ? "value" : escaped(option.shown, ":"),
                        words.empty() ? "_files" : "(" + joined(words, " ") + ")");
  }
  if (option.names.size() == 1)
    return shell_quoted(option.names[0] + spec);
  return fmt::format("'({})'{{{}}}{}", joined(option.names, " "), joined(option.names, ","), shell_quoted(spec));
}

std::string zsh(const std::vector<verb_description> &verbs) {
  std::string text = "#compdef malloc9\n# Written by `malloc9 completion zsh`.\nlocal -a verbs\nverbs=(\n";
  for (const verb_description &verb : verbs)
    text += fmt::format("  {}\n", shell_quoted(verb.name + ":" + escaped(verb.about, ":\\")));
  text += ")\nif ((CURRENT == 2)); then\n  _describe verb verbs\n  return\nfi\n"
          "local verb=$words[2]\nshift words\n((CURRENT--))\ncase $verb in\n";
  for (const verb_description &verb : verbs) {
    text += fmt::format("{})\n  _arguments", verb.name);
    for (const option_description &option : verb.options)
      text += " \\\n    " + zsh_option(option);
    const std::vector<std::string> words = words_of(verb.operand);
    text += fmt::format(" \\\n    '*:value:{}'\n  ;;\n", words.empty() ? "_files" : "(" + joined(words, " ") + ")");
  }
  return text + "esac\n";
}

std::string fish(const std::vector<verb_description> &verbs) {
  const auto text_of = [](const std::string &text) { return "'" + escaped(text, "'\\") + "'"; };
  std::string text = "# fish completion of malloc9, written by `malloc9 completion fish`.\n";
  for (const verb_description &verb : verbs)
    text +=
        fmt::format("complete -c malloc9 -n __fish_use_subcommand -f -a {} -d {}\n", verb.name, text_of(verb.about));
  for (const verb_description &verb : verbs) {
    if (const std::vector<std::string> words = words_of(verb.operand); !words.empty())
      text += fmt::format("complete -c malloc9 -n '__fish_seen_subcommand_from {}' -f -a {}\n", verb.name,
                          text_of(joined(words, " ")));
    for (const option_description &option : verb.options) {
      text += fmt::format("complete -c malloc9 -n '__fish_seen_subcommand_from {}'", verb.name);
      for (const std::string &name : option.names)
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      const std::vector<std::string> words = words_of(option.shown);
      if (!words.empty())
        text += fmt::format(" -x -a {}", text_of(joined(words, " ")));
      else if (option.takes_value)
        text += " -r";
      text += fmt::format(" -d {}\n", text_of(option.about));
    }
  }
  return text;
}

} // namespace

std::string completion_for(const std::string &shell, const std::vector<verb_description> &verbs) {
  return shell == "bash" ? bash(verbs) : shell == "zsh" ? zsh(verbs) : fish(verbs);
}

} // namespace m9::tool
