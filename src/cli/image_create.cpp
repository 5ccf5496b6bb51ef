#include <CLI/CLI.hpp>

#include "cli/image_options.h"
#include "cli/run_options.h"

namespace vireo::cli {
namespace {

struct Line {
  std::string file, size, format = "qcow2", backing, backing_format;
  std::vector<std::string> options;
};

Result<> run(const Line& line) {
  block::NewDisk disk;
  TRY_ASSIGN(disk.format, block::parse_format(line.format));
  if (disk.format == block::Format::Raw && (!line.options.empty() || !line.backing.empty())) {
    return fail(ErrorKind::Usage, "options and backing files are qcow2's; a raw image has none");
  }
  TRY(apply_image_options(line.options, disk.image));
  const auto threads = image_threads();
  if (!line.backing.empty()) {
    if (line.backing_format.empty()) {
      return fail(ErrorKind::Usage, "say in which format the backing file is, with --backing-format");
    }
    disk.image.backing_file = line.backing;
    disk.image.backing_format = line.backing_format;
    TRY_ASSIGN(const auto format, block::parse_format(line.backing_format));
    TRY_ASSIGN(const auto path, block::resolve(line.file, line.backing));
    TRY_ASSIGN(const auto backing,
               block::open_image(path, {.format = format, .read_only = true, .lock = false}, threads));
    disk.image.size = backing->geometry().size;
  }
  if (!line.size.empty()) {
    TRY_ASSIGN(disk.image.size, parse_size(line.size));
  } else if (line.backing.empty()) {
    return fail(ErrorKind::Usage, "say how large the disk is, such as 20G");
  }
  disk.image.size = (disk.image.size + 511) / 512 * 512;
  return block::create_disk(line.file, disk, threads);
}

}  // namespace

void add_image_create(CLI::App& image, int& status) {
  auto* command = image.add_subcommand("create", "Make an empty image, or one on top of another");
  auto line = std::make_shared<Line>();
  command->add_option("FILE", line->file, "the new image; one that is there is replaced")->required();
  command->add_option("SIZE", line->size, "of the disk, with K, M, G or T (that of the backing file)");
  command->add_option("-f,--format", line->format, "raw or qcow2 (qcow2)");
  command->add_option("-b,--backing", line->backing, "the image that is read where nothing was written yet");
  command->add_option("-F,--backing-format", line->backing_format, "its format");
  command->add_option("-o,--option", line->options, "NAME=VALUE[,...]: cluster_size, extended_l2, lazy_refcounts, ...")
      ->allow_extra_args(false);
  command->callback([line, &status] { status = exit_code(run(*line)); });
}

}  // namespace vireo::cli
