#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/image_options.h"

namespace vireo::cli {
namespace {

struct Line {
  std::string file, create, apply, remove;
  bool list = false, force_share = false;
  OutputFormat output;
};

std::string date(u32 seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

Result<> list(const Line& line) {
  TRY_ASSIGN(
      const auto image,
      block::open_qcow2(line.file, {.read_only = true, .lock = !line.force_share, .backing = false}, image_threads()));
  TRY_ASSIGN(const auto snapshots, image->snapshots());
  if (line.output.json()) {
    nlohmann::ordered_json json{{"version", 1}, {"filename", line.file}};
    json["snapshots"] = nlohmann::ordered_json::array();
    for (const auto& snapshot : snapshots) {
      json["snapshots"].push_back({{"id", snapshot.id},
                                   {"name", snapshot.name},
                                   {"date-sec", snapshot.date_sec},
                                   {"virtual-size", snapshot.disk_size},
                                   {"vm-state-size", snapshot.vm_state_size}});
    }
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return {};
  }
  if (snapshots.empty()) return {};
  fmt::print("{:<6} {:<30} {:<24} {}\n", "ID", "NAME", "DATE", "DISK SIZE");
  for (const auto& snapshot : snapshots) {
    fmt::print("{:<6} {:<30} {:<24} {}\n", snapshot.id, snapshot.name, date(snapshot.date_sec),
               size_text(snapshot.disk_size));
  }
  return {};
}

Result<> run(const Line& line) {
  if (line.create.empty() && line.apply.empty() && line.remove.empty()) return list(line);
  TRY_ASSIGN(const auto image, block::open_qcow2(line.file, {.backing = false}, image_threads()));
  if (!line.create.empty()) return image->create_snapshot(line.create);
  if (!line.apply.empty()) return image->apply_snapshot(line.apply);
  return image->delete_snapshot(line.remove);
}

}  // namespace

void add_image_snapshot(CLI::App& image, int& status) {
  auto* command = image.add_subcommand("snapshot", "List, make, apply and delete snapshots within a qcow2 image");
  auto line = std::make_shared<Line>();
  command->add_option("FILE", line->file, "the image")->required();
  auto* what = command->add_option_group("what");
  what->add_flag("-l,--list", line->list, "list them; also what is done when nothing else is said");
  what->add_option("-c,--create", line->create, "make one")->type_name("NAME");
  what->add_option("-a,--apply", line->apply, "make the disk what it was")->type_name("NAME|ID");
  what->add_option("-d,--delete", line->remove, "delete one")->type_name("NAME|ID");
  what->require_option(0, 1);
  command->add_flag("-U,--force-share", line->force_share, "list even while somebody writes the image");
  add_output(*command, line->output);
  command->callback([line, &status] { status = exit_code(run(*line)); });
}

}  // namespace vireo::cli
