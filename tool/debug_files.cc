// SPDX-License-Identifier: BSD-2-Clause
#include "tool/debug_files.h"

#include <cstring>
#include <filesystem>
#include <vector>

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <sys/auxv.h>
#include <sys/stat.h>

namespace m9::tool {
namespace {

namespace fs = std::filesystem;

std::string build_id_of(Elf *elf) {
  const void *bytes = nullptr;
  const ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);
  std::string id;
  for (ssize_t i = 0; i < size; i++)
    id += fmt::format("{:02x}", static_cast<const unsigned char *>(bytes)[i]);
  return id;
}

// Statistics may come from anywhere, so a path may name a pipe or a device.
unique_fd open_regular(const std::string &path) {
  unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st {};
  return fd && ::fstat(fd.get(), &st) == 0 && S_ISREG(st.st_mode) ? std::move(fd) : unique_fd();
}

elf_image image_of(unique_fd fd, const std::string &build_id) {
  elf_image image;
  if (!fd || elf_version(EV_CURRENT) == EV_NONE)
    return image;
  image.elf.reset(elf_begin(fd.get(), ELF_C_READ_MMAP, nullptr));
  if (!image.elf || elf_kind(image.elf.get()) != ELF_K_ELF || build_id_of(image.elf.get()) != build_id)
    image.elf.reset();
  else
    image.fd = std::move(fd);
  return image;
}

// The kernel's, if it is the same that this process has.
elf_image vdso_open(const std::string &build_id) {
  elf_image image;
  auto *base = reinterpret_cast<char *>(getauxval(AT_SYSINFO_EHDR)); // NOLINT(performance-no-int-to-ptr)
  if (base == nullptr || elf_version(EV_CURRENT) == EV_NONE)
    return image;
  Elf64_Ehdr header;
  std::memcpy(&header, base, sizeof header);
  image.elf.reset(elf_memory(base, header.e_shoff + size_t{header.e_shnum} * header.e_shentsize));
  if (image.elf && build_id_of(image.elf.get()) != build_id)
    image.elf.reset();
  return image;
}

// Where the file that was loaded may be now: a process that still runs holds on to what was deleted.
std::vector<std::string> places_of(const model_module &module, uint64_t pid) {
  constexpr std::string_view deleted = " (deleted)";
  std::string plain = module.path;
  if (plain.ends_with(deleted))
    plain.resize(plain.size() - deleted.size());
  return {module.path, plain, fmt::format("/proc/{}/root{}", pid, plain), fmt::format("/proc/{}/exe", pid)};
}

void open_loaded(debug_files &files, const model_module &module, uint64_t pid) {
  if (module.path.starts_with("linux-vdso")) {
    files.loaded = vdso_open(module.build_id);
    files.state = files.loaded.elf ? file_state::found : file_state::gone;
    return;
  }
  if (!module.path.starts_with('/'))
    return;
  const std::vector<std::string> places = places_of(module, pid);
  for (const std::string &path : places) {
    files.loaded = elf_image_open(path, module.build_id);
    if (files.loaded.elf) {
      files.state = file_state::found;
      return;
    }
  }
  files.state = open_regular(places[1]) ? file_state::replaced : file_state::gone;
}

void open_debug(debug_files &files, const model_module &module, debuginfod *server) {
  const auto try_path = [&](const std::string &path) {
    files.debug = elf_image_open(path, module.build_id);
    files.debug_path = path;
    return files.debug.elf != nullptr;
  };
  const std::string &id = module.build_id;
  if (id.size() > 2 && try_path(fmt::format("{}/.build-id/{}/{}.debug", files.folder, id.substr(0, 2), id.substr(2))))
    return;
  GElf_Word crc = 0;
  const char *link = files.loaded.elf ? dwelf_elf_gnu_debuglink(files.loaded.elf.get(), &crc) : nullptr;
  const std::string beside = fs::path(module.path).parent_path();
  if (link != nullptr)
    for (const std::string &folder : {beside, beside + "/.debug", files.folder + beside})
      if (try_path(folder + "/" + link))
        return;
  if (server != nullptr)
    try_path(server->find(id, fs::path(module.path).filename()));
}

} // namespace

elf_image elf_image_open(const std::string &path, const std::string &build_id) {
  return path.empty() ? elf_image() : image_of(open_regular(path), build_id);
}

bool elf_has_section(Elf *elf, const char *name) {
  size_t names = 0;
  if (elf == nullptr || elf_getshdrstrndx(elf, &names) != 0)
    return false;
  for (Elf_Scn *section = elf_nextscn(elf, nullptr); section != nullptr; section = elf_nextscn(elf, section)) {
    GElf_Shdr header;
    const char *found = gelf_getshdr(section, &header) != nullptr ? elf_strptr(elf, names, header.sh_name) : nullptr;
    if (found != nullptr && std::strcmp(found, name) == 0 && header.sh_type != SHT_NOBITS)
      return true;
  }
  return false;
}

debug_files debug_files_find(const model_module &module, uint64_t pid, const std::string &folder, debuginfod *server) {
  debug_files files;
  files.folder = folder;
  if (module.build_id.empty()) {
    files.state = file_state::no_build_id;
    return files;
  }
  open_loaded(files, module, pid);
  if (!elf_has_section(files.loaded.elf.get(), ".debug_info"))
    open_debug(files, module, server);
  return files;
}

} // namespace m9::tool
