// SPDX-License-Identifier: BSD-2-Clause
//
// The files that a module's names are read from: the file that was loaded, and its debug file. A file counts only if
// its build-id is the one that the statistics have, so what was deleted, rebuilt or upgraded since gives no name at
// all rather than a wrong one; and a module without a build-id gives none.
#pragma once

#include <memory>
#include <string>

#include <libelf.h>

#include "tool/debuginfod.h"
#include "tool/model.h"
#include "tool/unique_fd.h"

namespace m9::tool {

struct elf_image {
  unique_fd fd;
  std::unique_ptr<Elf, int (*)(Elf *)> elf{nullptr, elf_end};
};

// What became of the file; `found` says nothing of debug information.
enum class file_state { found, gone, replaced, no_build_id };

struct debug_files {
  elf_image loaded;       // may be empty
  elf_image debug;        // may be empty
  elf_image alternate;    // what `debug` shares with others, opened by its reader
  std::string debug_path; // of `debug`, where that is a file of its own
  std::string folder;     // of debug files
  file_state state = file_state::gone;
};

// `folder`: where separate debug files are, /usr/lib/debug. `server`: nullptr if none is to be asked.
debug_files debug_files_find(const model_module &module, uint64_t pid, const std::string &folder, debuginfod *server);

// An ELF file of that build-id (hexadecimal), or an empty image.
elf_image elf_image_open(const std::string &path, const std::string &build_id);

bool elf_has_section(Elf *elf, const char *name); // with contents

} // namespace m9::tool
