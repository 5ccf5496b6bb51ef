#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "block/nbd/nbd.h"
#include "cli/image_options.h"

namespace vireo::cli {
namespace {

using nlohmann::ordered_json;

struct Line {
  std::string file, format;
  OutputFormat output;
  bool force_share = false, chain = false;
};

ordered_json describe(const std::string& path, block::Image& image) {
  ordered_json json;
  json["filename"] = path;
  json["format"] = image.format();
  json["virtual-size"] = image.geometry().size;
  auto* qcow = dynamic_cast<block::qcow2::Qcow2*>(&image);
  if (qcow == nullptr) {
    if (block::nbd::is_uri(path)) return json;  // its server knows
    const auto threads = image_threads();
    if (const auto file = block::open_file(path, {.lock = false}, threads)) json["actual-size"] = (*file)->allocated();
    return json;
  }
  const auto& header = qcow->header();
  json["actual-size"] = qcow->file().allocated();
  json["cluster-size"] = header.cluster_size();
  json["dirty-flag"] = header.dirty();
  if (!header.backing_file.empty()) {
    json["backing-filename"] = header.backing_file;
    if (const auto full = block::resolve(path, header.backing_file)) json["full-backing-filename"] = *full;
    if (!header.backing_format.empty()) json["backing-filename-format"] = header.backing_format;
  }
  auto& details = json["format-specific"];
  details["compat"] = header.version == 2 ? "0.10" : "1.1";
  details["compression-type"] = header.compression_type == block::qcow2::Compression::Zstd ? "zstd" : "zlib";
  details["refcount-bits"] = 1u << header.refcount_order;
  details["lazy-refcounts"] = header.lazy_refcounts();
  details["extended-l2"] = header.extended_l2();
  details["corrupt"] = (header.incompatible_features & block::qcow2::incompatible::Corrupt) != 0;
  if (header.has_data_file()) {
    details["data-file"] = header.data_file;
    details["data-file-raw"] = header.raw_data_file();
  }
  if (const auto snapshots = qcow->snapshots(); snapshots && !snapshots->empty()) {
    for (const auto& snapshot : *snapshots) {
      json["snapshots"].push_back({{"id", snapshot.id},
                                   {"name", snapshot.name},
                                   {"date-sec", snapshot.date_sec},
                                   {"virtual-size", snapshot.disk_size},
                                   {"vm-state-size", snapshot.vm_state_size}});
    }
  }
  return json;
}

void print_table(const ordered_json& json, const std::string& indent = "") {
  for (const auto& [name, value] : json.items()) {
    if (value.is_object()) {
      fmt::print("{}{}:\n", indent, name);
      print_table(value, indent + "  ");
    } else if (value.is_array()) {
      fmt::print("{}{}:\n", indent, name);
      for (const auto& one : value) fmt::print("{}  {}\n", indent, one.dump());
    } else if (name.ends_with("-size")) {
      fmt::print("{}{}: {}\n", indent, name, size_text(value.get<u64>()));
    } else {
      fmt::print("{}{}: {}\n", indent, name, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
}

Result<> run(const Line& line) {
  block::OpenOptions options{.read_only = true, .lock = !line.force_share, .backing = false, .keep_dirty = true};
  TRY_ASSIGN(options.format, optional_format(line.format));
  ordered_json images = ordered_json::array();
  std::string path = line.file;
  for (;;) {
    TRY_ASSIGN(const auto image, block::open_image(path, options, image_threads()));
    images.push_back(describe(path, *image));
    const auto& last = images.back();
    if (!line.chain || !last.contains("full-backing-filename") || images.size() > block::kMaxChain) break;
    path = last["full-backing-filename"];
    options.format.reset();
    if (last.contains("backing-filename-format")) {
      TRY_ASSIGN(options.format, optional_format(last["backing-filename-format"]));
    }
  }
  if (line.output.json()) {
    ordered_json out{{"version", 1}};
    if (line.chain) {
      out["images"] = images;
    } else {
      out.update(images[0]);
    }
    fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
    return {};
  }
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (i > 0) fmt::print("\n");
    print_table(images[i]);
  }
  return {};
}

}  // namespace

void add_image_info(CLI::App& image, int& status) {
  auto* command = image.add_subcommand("info", "Tell what an image is");
  auto line = std::make_shared<Line>();
  command->add_option("FILE", line->file, "the image")->required();
  command->add_option("-f,--format", line->format, "raw or qcow2 (by its first bytes)");
  command->add_flag("-U,--force-share", line->force_share, "look at it even while somebody writes it");
  command->add_flag("--backing-chain", line->chain, "its backing files, too");
  add_output(*command, line->output);
  command->callback([line, &status] { status = exit_code(run(*line)); });
}

}  // namespace vireo::cli
