#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "block/qcow2/check.h"
#include "cli/image_options.h"

namespace vireo::cli {
namespace {

struct Line {
  std::string file, repair;
  OutputFormat output;
  bool force_share = false;
};

void print(const Line& line, const block::qcow2::CheckResult& found) {
  if (line.output.json()) {
    const nlohmann::ordered_json json{{"version", 1},
                                      {"filename", line.file},
                                      {"format", "qcow2"},
                                      {"corruptions", found.corruptions},
                                      {"leaks", found.leaks},
                                      {"missing-flags", found.missing_flags},
                                      {"total-clusters", found.total_clusters},
                                      {"allocated-clusters", found.clusters},
                                      {"fragmented-clusters", found.fragmented},
                                      {"compressed-clusters", found.compressed},
                                      {"image-end-offset", found.end_offset},
                                      {"messages", found.messages}};
    fmt::print("{}\n", json.dump(2));
    return;
  }
  for (const auto& message : found.messages) fmt::print("{}\n", message);
  if (found.corruptions + found.leaks + found.missing_flags == 0) fmt::print("The image is sound.\n");
  if (found.corruptions > 0) fmt::print("corruptions: {}\n", found.corruptions);
  if (found.leaks > 0) fmt::print("leaked clusters (harmless, they cost space): {}\n", found.leaks);
  if (found.missing_flags > 0) fmt::print("missing flags (harmless, they cost time): {}\n", found.missing_flags);
  fmt::print("{} of {} clusters have data, {} of them compressed\n", found.clusters, found.total_clusters,
             found.compressed);
}

Result<> run(const Line& line) {
  using block::qcow2::Repair;
  const bool repair = !line.repair.empty();
  TRY_ASSIGN(const auto image,
             block::open_qcow2(line.file,
                               {.read_only = !repair, .lock = !line.force_share, .backing = false, .keep_dirty = true},
                               image_threads()));
  TRY_ASSIGN(auto found, block::qcow2::check(*image, progress_bar()));
  if (repair && (found.corruptions + found.leaks + found.missing_flags > 0 || image->header().dirty())) {
    TRY(block::qcow2::repair(*image, line.repair == "all" ? Repair::All : Repair::Leaks));
    TRY_ASSIGN(found, block::qcow2::check(*image, progress_bar()));
  }
  print(line, found);
  if (found.corruptions > 0) {
    return fail(ErrorKind::Failed, "{} is corrupt{}", line.file, repair ? "" : "; --repair all repairs what it can");
  }
  return {};
}

}  // namespace

void add_image_check(CLI::App& image, int& status) {
  auto* command = image.add_subcommand("check", "Find out whether a qcow2 image is sound, and repair it");
  auto line = std::make_shared<Line>();
  command->add_option("FILE", line->file, "the image")->required();
  command->add_option("-r,--repair", line->repair, "leaks or all")->check(CLI::IsMember({"leaks", "all"}));
  command->add_flag("-U,--force-share", line->force_share, "look at it even while somebody writes it");
  add_output(*command, line->output);
  command->footer("Ends with 0 for a sound image, of which clusters may be leaked, and with 1 for a corrupt one.");
  command->callback([line, &status] { status = exit_code(run(*line)); });
}

}  // namespace vireo::cli
