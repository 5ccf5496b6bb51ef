#include "vmm/passed_files.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace vireo::vmm {
namespace {

using api::Answer;
using api::Arguments;
using api::Json;

constexpr std::string_view kPrefix = "/dev/fdset/";

}  // namespace

Result<host::Fd> PassedFiles::open(const std::string& name, bool to_write) const {
  i64 set = -1;
  std::string_view digits = name;
  const bool named = digits.starts_with(kPrefix);
  if (named) digits.remove_prefix(kPrefix.size());
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), set);
  if (!named || error != std::errc() || end != digits.data() + digits.size() || set < 0) {
    return fail(ErrorKind::Usage,
                "'{}' cannot be opened by a running machine; pass the file with add-fd, and name it {}N", name,
                kPrefix);
  }
  bool found = false;
  for (const auto& file : files_) {
    if (file.set != set) continue;
    found = true;
    const auto access = host::access_of(file.fd);
    if (access.read && access.write == to_write) return file.fd.duplicate();
  }
  if (!found) return fail(ErrorKind::NotFound, "there is no file descriptor set {}", set);
  return fail(ErrorKind::Denied, "no file of the set {} was opened for {}", set,
              to_write ? "reading and writing" : "reading alone");
}

Answer PassedFiles::add(const Arguments& arguments) {
  auto fd = arguments.take_descriptor();
  if (!fd) return api::refuse("No file descriptor supplied via SCM_RIGHTS");
  if (files_.size() >= kMaxFiles) return api::refuse("There are {} passed files already", kMaxFiles);
  i64 set = arguments.integer("fdset-id");
  if (set < 0) return api::refuse("Parameter 'fdset-id' expects a non-negative value");
  if (!arguments.has("fdset-id")) {
    while (std::ranges::find(files_, set, &File::set) != files_.end()) ++set;
  }
  const int number = fd.get();
  files_.push_back({.set = set, .fd = std::move(fd), .opaque = arguments.text("opaque")});
  return Json{{"fdset-id", set}, {"fd", number}};
}

Answer PassedFiles::remove(const Arguments& arguments) {
  const i64 set = arguments.integer("fdset-id");
  const auto removed = files_.remove_if([&](const File& file) {
    return file.set == set && (!arguments.has("fd") || file.fd.get() == arguments.integer("fd"));
  });
  if (removed != 0) return Json::object();
  return api::refuse("File descriptor named 'fdset-id:{}' not found", set);
}

Answer PassedFiles::query() const {
  std::map<i64, Json> sets;
  for (const auto& file : files_) {
    Json one = {{"fd", file.fd.get()}};
    if (!file.opaque.empty()) one["opaque"] = file.opaque;
    sets.try_emplace(file.set, Json::array()).first->second.push_back(std::move(one));
  }
  Json list = Json::array();
  for (auto& [set, fds] : sets) list.push_back({{"fdset-id", set}, {"fds", std::move(fds)}});
  return list;
}

void PassedFiles::add_commands(api::Commands& commands) {
  using Type = api::Parameter::Type;
  commands.add({"add-fd", {{"fdset-id", Type::Integer}, {"opaque", Type::String}}, [this](const Arguments& arguments) {
                  return add(arguments);
                }});
  commands.add({"remove-fd",
                {{"fdset-id", Type::Integer, true}, {"fd", Type::Integer}},
                [this](const Arguments& arguments) { return remove(arguments); }});
  commands.add({"query-fdsets", {}, [this](const Arguments&) { return query(); }});
}

}  // namespace vireo::vmm
