#include <CLI/CLI.hpp>

#include "cli/image_options.h"

namespace vireo::cli {
namespace {

struct Line {
  std::string from, to, from_format, to_format = "qcow2", backing, backing_format, snapshot;
  std::vector<std::string> options;
  bool compress = false, force_share = false;
};

Result<> run(const Line& line) {
  block::Conversion conversion;
  TRY_ASSIGN(conversion.target.format, block::parse_format(line.to_format));
  if (conversion.target.format == block::Format::Raw && (!line.options.empty() || !line.backing.empty())) {
    return fail(ErrorKind::Usage, "options and backing files are qcow2's; a raw image has none");
  }
  TRY(apply_image_options(line.options, conversion.target.image));
  if (!line.backing.empty() && line.backing_format.empty()) {
    return fail(ErrorKind::Usage, "say in which format the backing file is, with --backing-format");
  }
  conversion.target.image.backing_file = line.backing;
  conversion.target.image.backing_format = line.backing_format;
  conversion.compress = line.compress;
  conversion.snapshot = line.snapshot;
  conversion.source.lock = !line.force_share;
  TRY_ASSIGN(conversion.source.format, optional_format(line.from_format));
  return block::convert(line.from, line.to, conversion, image_threads(), progress_bar());
}

}  // namespace

void add_image_convert(CLI::App& image, int& status) {
  auto* command = image.add_subcommand("convert", "Copy an image into a new one of any format");
  auto line = std::make_shared<Line>();
  command->add_option("FROM", line->from, "the image that is read, with its backing files")->required();
  command->add_option("TO", line->to, "the new image, or a block device or NBD export for a raw one")->required();
  command->add_option("-f,--format", line->from_format, "FROM's format (by its first bytes)");
  command->add_option("-O,--output-format", line->to_format, "TO's format (qcow2)");
  command->add_flag("-c,--compress", line->compress, "compress TO");
  command->add_option("-l,--snapshot", line->snapshot, "what FROM was at this internal snapshot");
  command->add_option("-b,--backing", line->backing, "TO's backing file");
  command->add_option("-F,--backing-format", line->backing_format, "its format");
  command->add_flag("-U,--force-share", line->force_share, "read FROM even while somebody writes it");
  command->add_option("-o,--option", line->options, "NAME=VALUE[,...], as for create")->allow_extra_args(false);
  command->callback([line, &status] { status = exit_code(run(*line)); });
}

}  // namespace vireo::cli
