#include "vmm/block_commands.h"

namespace vireo::vmm {
namespace {

using api::Answer;
using api::Arguments;
using api::Json;
using Type = api::Parameter::Type;

unsigned backing_depth(const BlockNode& node) {
  unsigned depth = 0;
  for (const block::Image* image = node.image.get(); image != nullptr; ++depth) {
    image = const_cast<block::Image*>(image)->backing();
  }
  return depth == 0 ? 0 : depth - 1;
}

/// QEMU's ImageInfo. What an image that was opened by name takes of its file is not known.
Json image_info(const BlockNode& node) {
  Json info = {{"filename", node.filename}, {"format", api::driver_name(node.driver)}, {"dirty-flag", false}};
  if (node.image) info["virtual-size"] = node.image->geometry().size;
  const BlockNode* file = node.fd ? &node : node.file.get();
  if (file == nullptr) return info;
  const auto facts = host::file_facts(file->fd.get(), file->filename);
  info["actual-size"] = facts ? facts->allocated : 0;
  if (!node.image) info["virtual-size"] = facts ? facts->size : 0;
  return info;
}

/// QEMU's BlockDeviceInfo: what is a limit there is 0, for there are none.
Json device_info(const BlockNode& node) {
  Json info = {{"file", node.filename},
               {"node-name", node.name},
               {"ro", node.read_only},
               {"drv", api::driver_name(node.driver)},
               {"backing_file_depth", backing_depth(node)},
               {"encrypted", false},
               {"detect_zeroes", "off"},
               {"write_threshold", 0},
               {"image", image_info(node)},
               {"cache",
                {{"writeback", true},
                 {"direct", node.cache == block::Cache::None},
                 {"no-flush", node.cache == block::Cache::Unsafe}}}};
  for (const char* limit : {"bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"}) info[limit] = 0;
  return info;
}

Answer query_block(const BlockNodes& nodes) {
  Json list = Json::array();
  for (const auto* node : nodes.list()) {
    if (node->device.empty()) continue;
    list.push_back({{"device", ""},
                    {"qdev", "/machine/peripheral/" + node->device + "/virtio-backend"},
                    {"type", "unknown"},
                    {"removable", false},
                    {"locked", false},
                    {"io-status", "ok"},
                    {"inserted", device_info(*node)}});
  }
  return list;
}

Answer query_nodes(const BlockNodes& nodes) {
  Json list = Json::array();
  for (const auto* node : nodes.list()) list.push_back(device_info(*node));
  return list;
}

Answer done_or_error(const Result<>& result) {
  if (!result) return api::refuse(result.error());
  return Json::object();
}

}  // namespace

void add_block_commands(api::Commands& commands, BlockNodes& nodes) {
  commands.add({"blockdev-add",
                {},
                [&nodes](const Arguments& arguments) -> Answer {
                  const auto options = api::BlockOptions::parse(arguments.object());
                  if (!options) return api::refuse(options.error());
                  return done_or_error(nodes.add(*options));
                },
                true});
  commands.add({"blockdev-del", {{"node-name", Type::String, true}}, [&nodes](const Arguments& arguments) {
                  return done_or_error(nodes.remove(arguments.text("node-name")));
                }});
  commands.add({"query-block", {}, [&nodes](const Arguments&) { return query_block(nodes); }});
  commands.add({"query-named-block-nodes", {{"flat", Type::Boolean}}, [&nodes](const Arguments&) {
                  return query_nodes(nodes);
                }});
}

}  // namespace vireo::vmm
