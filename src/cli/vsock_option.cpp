#include "cli/vsock_option.h"

#include <charconv>

#include "cli/sub_options.h"

namespace vireo::cli {
namespace {

/// Others are reserved: 0 the hypervisor, 1 the local context, 2 the host (virtio 1.2, 5.10.4).
constexpr u32 kFirstCid = 3, kLastCid = 0xFFFFFFFE;

Result<u32> parse_cid(const std::string& text) {
  u32 cid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cid);
  if (error != std::errc() || end != text.data() + text.size() || cid < kFirstCid || cid > kLastCid) {
    return fail(ErrorKind::Usage, "cid=\"{}\" is not a number from {} to {}", text, kFirstCid, kLastCid);
  }
  return cid;
}

}  // namespace

Result<vmm::VsockConfig> parse_vsock(const std::string& text) {
  vmm::VsockConfig vsock;
  TRY_ASSIGN(const auto options, split_sub_options(text));
  for (const auto& [name, value] : options) {
    if (name == "cid") {
      TRY_ASSIGN(vsock.cid, parse_cid(value.value_or("")));
    } else if (name == "socket") {
      vsock.socket = value.value_or("");
    } else {
      return fail(ErrorKind::Usage, "\"{}\" is unknown; choose from socket= and cid=", name);
    }
  }
  if (vsock.socket.empty()) return fail(ErrorKind::Usage, "say which Unix socket leads to the guest: socket=FILE");
  return vsock;
}

}  // namespace vireo::cli
