#include "vmm/shares.h"

#include "vhost/user/virtiofsd.h"
#include "virtio/fs/spec.h"

namespace vireo::vmm {
namespace {

Result<std::unique_ptr<vhost::user::Peer>> open_one(const ShareConfig& share, host::Loop& loop) {
  TRY_ASSIGN(auto connection, share.path.empty()
                                  ? vhost::user::connect(share.socket)
                                  : vhost::user::start({.folder = share.path, .read_only = share.read_only}));
  return vhost::user::Peer::create(loop, std::move(connection), virtio::fs::kQueues);
}

Error name_share(const Error& error, const std::string& tag) {
  return {error.kind, fmt::format("--share: {}: {}", tag, error.message)};
}

}  // namespace

Result<Shares> Shares::open(const std::vector<ShareConfig>& shares, host::Loop& loop) {
  Shares opened;
  for (const auto& share : shares) {
    auto peer = open_one(share, loop);
    if (!peer) return std::unexpected(name_share(peer.error(), share.tag));
    opened.shares_.push_back({share.tag, std::move(*peer)});
  }
  return opened;
}

std::vector<machine::PcShare> Shares::shares() const {
  std::vector<machine::PcShare> list;
  list.reserve(shares_.size());
  for (const auto& [tag, peer] : shares_) list.push_back({.tag = tag, .backend = peer.get()});
  return list;
}

Result<> Shares::start(const vm::GuestMemory& memory) {
  for (auto& [tag, peer] : shares_) {
    if (auto started = peer->start(memory); !started) return std::unexpected(name_share(started.error(), tag));
  }
  return {};
}

}  // namespace vireo::vmm
