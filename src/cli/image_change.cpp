// vireo image resize, commit, rebase.
#include <CLI/CLI.hpp>

#include "block/api/status.h"
#include "cli/image_options.h"
#include "cli/run_options.h"

namespace vireo::cli {
namespace {

struct Line {
  std::string file, size, format, backing, backing_format;
  bool shrink = false, unsafe = false;
};

Result<> resize(const Line& line) {
  block::OpenOptions options;
  TRY_ASSIGN(options.format, optional_format(line.format));
  TRY_ASSIGN(const auto image, block::open_image(line.file, options, image_threads()));
  const u64 now = image->geometry().size;
  const char sign = line.size.empty() ? '\0' : line.size[0];
  TRY_ASSIGN(u64 size, parse_size(sign == '+' || sign == '-' ? line.size.substr(1) : line.size));
  if (sign == '-' && size > now) return fail(ErrorKind::Usage, "the disk has only {} bytes", now);
  if (sign == '+') size += now;
  if (sign == '-') size = now - size;
  size = (size + 511) / 512 * 512;
  if (size < now && !line.shrink) {
    return fail(ErrorKind::Usage, "what is behind the new end would be lost; --shrink says that this is meant");
  }
  const auto done = image->resize(size);
  if (!done && done.error() == block::Status::Unsupported) {
    return fail(ErrorKind::WrongState, "{} cannot become smaller: it is a block device, or has snapshots", line.file);
  }
  if (!done) return fail(ErrorKind::Failed, "cannot resize {}: {}", line.file, block::describe(done.error()));
  if (auto flushed = image->flush(); !flushed) {
    return fail(ErrorKind::Failed, "cannot resize {}: {}", line.file, block::describe(flushed.error()));
  }
  return {};
}

Result<> rebase(const Line& line) {
  if (!line.backing.empty() && line.backing_format.empty()) {
    return fail(ErrorKind::Usage, "say in which format the backing file is, with --backing-format");
  }
  return block::rebase(line.file, {line.backing, line.backing_format, line.unsafe}, image_threads(), progress_bar());
}

}  // namespace

void add_image_resize(CLI::App& image, int& status) {
  auto* command = image.add_subcommand("resize", "Make a disk larger or smaller");
  auto line = std::make_shared<Line>();
  command->add_option("FILE", line->file, "the image")->required();
  command->add_option("SIZE", line->size, "the new size, or +SIZE or -SIZE")->required();
  command->add_option("-f,--format", line->format, "raw or qcow2 (by its first bytes)");
  command->add_flag("--shrink", line->shrink, "what is behind the new end may be lost");
  command->callback([line, &status] { status = exit_code(resize(*line)); });
}

void add_image_commit(CLI::App& image, int& status) {
  auto* command = image.add_subcommand("commit", "Write what an image has into its backing file");
  auto line = std::make_shared<Line>();
  command->add_option("FILE", line->file, "the image; it stays as it is")->required();
  command->callback(
      [line, &status] { status = exit_code(block::commit(line->file, image_threads(), progress_bar())); });
}

void add_image_rebase(CLI::App& image, int& status) {
  auto* command = image.add_subcommand("rebase", "Give an image another backing file");
  auto line = std::make_shared<Line>();
  command->add_option("FILE", line->file, "the image")->required();
  command->add_option("-b,--backing", line->backing, "the new backing file; empty: none")->required();
  command->add_option("-F,--backing-format", line->backing_format, "its format");
  command->add_flag("-u,--unsafe", line->unsafe, "change the name only: the new file has the same content");
  command->callback([line, &status] { status = exit_code(rebase(*line)); });
}

}  // namespace vireo::cli
