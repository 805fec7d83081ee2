// SPDX-License-Identifier: BSD-2-Clause
//
// Each request reads the files anew, so threads share nothing but the options.
#include "tool/listen.h"

#include <cerrno>
#include <charconv>

#include <fmt/format.h>
#include <httplib.h>

#include "tool/dump_file.h"
#include "tool/error.h"
#include "tool/export.h"
#include "tool/live_file.h"
#include "tool/live_folder.h"
#include "tool/merge.h"

namespace m9::tool {
namespace {

struct snapshot {
  std::vector<model> processes;
  uint64_t unreadable = 0;
};

// The processes that live. What goes away meanwhile is left out.
snapshot take(const listen_options &options) {
  snapshot all;
  for (const std::string &folder : options.folders.empty() ? live_folders() : options.folders) {
    std::vector<live_name> names;
    try {
      names = live_list(folder);
    } catch (const error &) {
      continue; // nobody made it yet
    }
    for (const live_name &name : names)
      try {
        format::header header{};
        const unique_fd fd = name.mark.empty() ? live_open(name.path, header) : unique_fd();
        if (fd && live_is_alive(fd.get()))
          all.processes.push_back(model_of(dump_load(name.path).view));
      } catch (const error &) {
        all.unreadable++;
      }
  }
  return all;
}

std::string metrics_page(const listen_options &options) {
  const snapshot all = take(options);
  std::vector<std::vector<group>> groups;
  std::vector<metrics_of> pages;
  for (const model &m : all.processes) {
    naming names(m, naming_for(options.names, group_by_of(options.by)));
    groups.push_back(groups_of(m, names, group_by_of(options.by)));
    groups_sort(groups.back(), group_order::live);
    if (groups.back().size() > options.top)
      groups.back().resize(options.top);
  }
  for (size_t i = 0; i < all.processes.size(); i++)
    pages.push_back({&all.processes[i], &groups[i]});
  std::string text;
  output out(text);
  export_prometheus(out, pages, options.by);
  out.print("# HELP malloc9_unreadable_files Files of statistics that could not be read.\n"
            "# TYPE malloc9_unreadable_files gauge\nmalloc9_unreadable_files {}\n",
            all.unreadable);
  out.finish();
  return text;
}

// Of the process that `pid` names, or of all; empty: there is none.
std::string profile(const listen_options &options, const std::string &pid) {
  const snapshot all = take(options);
  merger merged;
  const model *first = nullptr;
  for (const model &m : all.processes)
    if (pid.empty() || pid == std::to_string(m.pid)) {
      merged.add(m);
      first = first != nullptr ? first : &m;
    }
  if (first == nullptr)
    return {};
  const model sum = merged.processes() == 1 ? *first : merged.result(*first);
  naming names(sum, options.names);
  return export_pprof(sum, names);
}

std::string index_page(const listen_options &options) {
  std::string text = "malloc9: /metrics, /debug/pprof/heap?pid=N\n";
  for (const model &m : take(options).processes)
    text += fmt::format("{} {}\n", m.pid, printable(m.program));
  return text;
}

void declare_pages(httplib::Server &server, const listen_options &options) {
  server.Get("/", [&](const httplib::Request &, httplib::Response &response) {
    response.set_content(index_page(options), "text/plain; charset=utf-8");
  });
  server.Get("/metrics", [&](const httplib::Request &, httplib::Response &response) {
    response.set_content(metrics_page(options), "text/plain; version=0.0.4; charset=utf-8");
  });
  server.Get("/debug/pprof/heap", [&](const httplib::Request &request, httplib::Response &response) {
    const std::string bytes = profile(options, request.get_param_value("pid"));
    response.status = bytes.empty() ? 404 : 200;
    if (bytes.empty())
      response.set_content("no such process has statistics here\n", "text/plain");
    else
      response.set_content(bytes, "application/octet-stream");
  });
}

} // namespace

void listen_and_serve(const listen_options &options) {
  const size_t colon = options.address.rfind(':');
  const std::string port_text = colon != std::string::npos ? options.address.substr(colon + 1) : "";
  std::string host = options.address.substr(0, colon);
  uint16_t port = 0;
  const auto [end, failed] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (failed != std::errc() || end != port_text.data() + port_text.size() || host.empty())
    throw error(fmt::format("--listen {}: wants ADDRESS:PORT, such as 127.0.0.1:9105", printable(options.address)));
  if (host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  httplib::Server server;
  // The library's own options would let two of us listen at one address.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  declare_pages(server, options);
  const int bound = port == 0 ? server.bind_to_any_port(host) : server.bind_to_port(host, port) ? port : -1;
  if (bound < 0)
    throw error(fmt::format("--listen {}: {}", printable(options.address), errno_text(errno)), exit_failed);
  complain(fmt::format("listening on {}:{}", printable(options.address.substr(0, colon)), bound));
  server.listen_after_bind();
  throw error(fmt::format("--listen {}: {}", printable(options.address), errno_text(errno)), exit_failed);
}

} // namespace m9::tool
