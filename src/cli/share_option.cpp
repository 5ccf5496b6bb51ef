#include "cli/share_option.h"

#include "cli/sub_options.h"

namespace vireo::cli {
namespace {

constexpr std::size_t kMaxTag = 36;  ///< virtio 1.2, 5.11.4

}  // namespace

Result<vmm::ShareConfig> parse_share(const std::string& text) {
  vmm::ShareConfig share;
  TRY_ASSIGN(const auto options, split_sub_options(text));
  for (const auto& [name, value] : options) {
    if (name == "tag") {
      share.tag = value.value_or("");
    } else if (name == "path") {
      share.path = value.value_or("");
    } else if (name == "socket") {
      share.socket = value.value_or("");
    } else if (name == "readonly" && !value) {
      share.read_only = true;
    } else {
      return fail(ErrorKind::Usage, "\"{}\" is unknown; choose from tag=, path=, socket= and readonly", name);
    }
  }
  if (share.tag.empty() || share.tag.size() > kMaxTag) {
    return fail(ErrorKind::Usage, "say what the guest calls it: tag=NAME, of up to {} characters", kMaxTag);
  }
  if (share.path.empty() == share.socket.empty()) {
    return fail(ErrorKind::Usage, "say either which folder, path=FOLDER, or where virtiofsd listens, socket=FILE");
  }
  if (share.read_only && share.path.empty()) {
    return fail(ErrorKind::Usage, "readonly goes with path=; what is at a socket is its daemon's to protect");
  }
  return share;
}

}  // namespace vireo::cli
