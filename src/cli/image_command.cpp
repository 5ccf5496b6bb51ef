#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/image_options.h"

namespace vireo::cli {

void add_image(CLI::App& app, int& status) {
  auto* image = app.add_subcommand("image", "Make, look at and change disk images");
  image->require_subcommand(1);
  image->footer(
      "Formats: raw and qcow2. Without a format, a file is qcow2 if it begins like one, and else raw.\n"
      "An image that a machine is using is not touched. nbd://HOST[:PORT]/EXPORT or\n"
      "nbd+unix:///EXPORT?socket=PATH is an image at an NBD server; nbds: by TLS.\n\n"
      "Examples:\n"
      "  vireo image create disk.qcow2 20G\n"
      "  vireo image create --backing debian.qcow2 --backing-format qcow2 web.qcow2\n"
      "  vireo image convert --compress disk.raw disk.qcow2");
  add_image_create(*image, status);
  add_image_info(*image, status);
  add_image_convert(*image, status);
  add_image_check(*image, status);
  add_image_resize(*image, status);
  add_image_snapshot(*image, status);
  add_image_commit(*image, status);
  add_image_rebase(*image, status);
}

}  // namespace vireo::cli
