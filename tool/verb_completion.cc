// SPDX-License-Identifier: BSD-2-Clause
//
// malloc9 completion: what a shell reads to complete the command's line; `meson install` puts it where shells look.
#include <memory>

#include "tool/completion.h"
#include "tool/options.h"
#include "tool/output.h"
#include "tool/verb.h"

namespace m9::tool {

void add_completion(command &malloc9) {
  verb_options verb = add_verb(malloc9.app(), "completion", "Print the completion of this command for a shell",
                               "Installed with the command; to try it without:\n\n"
                               "Example:\n  source <(malloc9 completion bash)");
  auto shell = std::make_shared<std::string>();
  verb.choice("SHELL", *shell, {"bash", "zsh", "fish"}, "The shell", true);
  verb.action([&malloc9, shell] {
    output out = standard_output();
    out.put(completion_for(*shell, malloc9.describe()));
    out.finish();
  });
}

} // namespace m9::tool
