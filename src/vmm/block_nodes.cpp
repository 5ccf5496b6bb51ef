#include "vmm/block_nodes.h"

#include <algorithm>

#include "host/file_lock.h"

namespace vireo::vmm {
namespace {

using Driver = api::BlockOptions::Driver;

/// A lock on a file, and on what else is open of it.
class FileLock {
 public:
  explicit FileLock(host::Fd fd) : fd_(std::move(fd)) {}
  ~FileLock() { host::unlock_image(fd_.get()); }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  const host::Fd fd_;
};

Result<host::Fd> duplicate(const host::Fd& fd) {
  auto copy = fd.duplicate();
  if (!copy) return fail(ErrorKind::Failed, "too many files are open");
  return copy;
}

/// How a file that was passed is to be used. Its open file is the client's as well, and stays as it is.
Result<block::Cache> cache_of(const host::Access& access, bool direct, bool no_flush, const std::string& name) {
  if (access.append) return fail(ErrorKind::Usage, "{} was opened to append to it", name);
  if (direct && !access.direct) return fail(ErrorKind::Usage, "{} was not opened for direct I/O (O_DIRECT)", name);
  if (access.direct) return block::Cache::None;
  return no_flush ? block::Cache::Unsafe : block::Cache::Writeback;
}

}  // namespace

Result<> BlockNodes::check_name(const std::string& name, const std::vector<Node>& made) const {
  if (name.empty()) return {};
  if (named_.contains(name) || std::ranges::any_of(made, [&](const Node& node) { return node->name == name; })) {
    return fail(ErrorKind::WrongState, "Duplicate nodes with node-name='{}'", name);
  }
  return {};
}

Result<> BlockNodes::add(const std::string& name, OpenDisk disk) {
  TRY(check_name(name, {}));
  auto node = std::make_shared<BlockNode>();
  node->name = name;
  node->driver = disk.image->format() == "qcow2" ? Driver::Qcow2 : Driver::Raw;
  node->filename = disk.file;
  node->read_only = disk.image->geometry().read_only;
  node->cache = disk.cache;
  node->serial = disk.serial;
  node->image = std::move(disk.image);
  named_[name] = std::move(node);
  return {};
}

Result<> BlockNodes::open_file(BlockNode& node, const api::BlockOptions& options, const Above& above,
                               const std::vector<Node>& made) const {
  node.filename = options.filename;
  TRY_ASSIGN(node.fd, open_(options.filename, !node.read_only));
  if (!node.fd) return fail(ErrorKind::Failed, "too many files are open");
  TRY_ASSIGN(node.cache, cache_of(host::access_of(node.fd), options.direct || above.direct,
                                  options.no_flush || above.no_flush, node.filename));
  TRY_ASSIGN(const auto facts, host::file_facts(node.fd.get(), node.filename));
  if (!facts.regular && !facts.block_device) {
    return fail(ErrorKind::Usage, "{} is neither a file nor a block device", node.filename);
  }
  node.on_device = facts.device;
  node.inode = facts.inode;
  std::vector<Node> others = made;
  for (const auto& file : files_) others.push_back(file.lock());
  for (const auto& other : others) {
    if (!other || other.get() == &node || !other->fd || other->on_device != node.on_device ||
        other->inode != node.inode)
      continue;
    if (!other->read_only || !node.read_only) {
      return fail(ErrorKind::WrongState, "{} is the file of the node '{}' as well", node.filename, other->name);
    }
    node.lock = other->lock;
    return {};
  }
  TRY_ASSIGN(auto to_lock, duplicate(node.fd));
  auto lock = std::make_shared<FileLock>(std::move(to_lock));
  TRY(host::lock_image(node.fd.get(), node.filename, node.read_only ? host::Share::Readers : host::Share::Nobody));
  node.lock = std::move(lock);
  return {};
}

Result<BlockNodes::Node> BlockNodes::make_child(const api::BlockOptions::Child& child, const Above& above,
                                                std::vector<Node>& made) const {
  if (const auto* options = std::get_if<std::unique_ptr<api::BlockOptions>>(&child))
    return make(**options, above, made);
  const auto& name = std::get<std::string>(child);
  const auto found = named_.find(name);
  if (found == named_.end()) {
    return fail(ErrorKind::NotFound, "Cannot find device='{0}' nor node-name='{0}'", name);
  }
  const auto& node = found->second;
  if (node->read_only && !above.read_only) return fail(ErrorKind::WrongState, "Block node '{}' is read-only", name);
  if (!node->device.empty() || (node.use_count() > 1 && !node->read_only)) {
    return fail(ErrorKind::WrongState, "Node '{}' is in use", name);
  }
  return node;
}

Result<BlockNodes::Node> BlockNodes::make(const api::BlockOptions& options, const Above& above,
                                          std::vector<Node>& made) const {
  TRY(check_name(options.node_name, made));
  auto node = std::make_shared<BlockNode>();
  node->name = options.node_name;
  made.push_back(node);  // now: what is within has another name
  node->driver = options.driver;
  node->read_only = options.read_only || above.read_only;
  node->within_another = above.within;
  if (options.driver == Driver::File) {
    TRY(open_file(*node, options, above, made));
  } else {
    const Above below{.read_only = node->read_only,
                      .direct = options.direct || above.direct,
                      .no_flush = options.no_flush || above.no_flush,
                      .within = true};
    TRY_ASSIGN(node->file, make_child(options.file, below, made));
    if (!node->file->fd) return fail(ErrorKind::Usage, "Parameter 'file' expects a node of the driver 'file'");
    if (!std::holds_alternative<std::monostate>(options.backing)) {
      Above base = below;
      base.read_only = true;
      TRY_ASSIGN(node->backing, make_child(options.backing, base, made));
      if (!node->backing->read_only) {
        return fail(ErrorKind::WrongState, "Block node '{}' is not read-only", node->backing->name);
      }
      if (!node->backing->fd && !node->backing->file) {
        return fail(ErrorKind::Usage, "Node '{}' was opened with the machine, and nothing else can stand on it",
                    node->backing->name);
      }
    }
    node->filename = node->file->filename;
    node->cache = below.no_flush ? block::Cache::Unsafe : node->file->cache;
    node->no_backing = options.no_backing;
    // What others stand on is opened with them.
    if (!above.within) {
      TRY_ASSIGN(node->image, open_image(*node));
    }
  }
  return node;
}

Result<std::unique_ptr<block::Image>> BlockNodes::open_image(const BlockNode& node) const {
  const BlockNode& file = node.fd ? node : *node.file;
  TRY_ASSIGN(auto fd, duplicate(file.fd));
  TRY_ASSIGN(auto storage, block::use_file(std::move(fd), file.filename,
                                           {.write = !node.read_only, .cache = node.cache, .lock = false}, threads_));
  block::ImageParts parts{.file = std::move(storage),
                          .format = node.driver == Driver::Qcow2 ? block::Format::Qcow2 : block::Format::Raw,
                          .read_only = node.read_only,
                          .backing = nullptr,
                          .no_backing = node.no_backing};
  if (node.backing) {
    TRY_ASSIGN(parts.backing, open_image(*node.backing));
  }
  return block::assemble_image(std::move(parts), threads_);
}

Result<> BlockNodes::add(const api::BlockOptions& options) {
  if (options.node_name.empty()) return fail(ErrorKind::Usage, "'node-name' must be specified for the root node");
  std::erase_if(files_, [](const auto& file) { return file.expired(); });
  std::vector<Node> made;
  TRY(make(options, {}, made));
  if (named_.size() + made.size() > kMaxNodes || files_.size() + made.size() > kMaxNodes) {
    return fail(ErrorKind::WrongState, "there are {} nodes already", kMaxNodes);
  }
  for (auto& node : made) {
    if (node->fd) files_.push_back(node);
    if (!node->name.empty()) named_[node->name] = node;
  }
  return {};
}

Result<> BlockNodes::remove(const std::string& name) {
  const auto found = named_.find(name);
  if (found == named_.end()) return fail(ErrorKind::NotFound, "Failed to find node with node-name='{}'", name);
  if (found->second.use_count() > 1) return fail(ErrorKind::WrongState, "Node {} is in use", name);
  named_.erase(found);
  // Then what was within, from the top down.
  const auto unused = [](const auto& one) { return one.second->within_another && one.second.use_count() == 1; };
  while (std::erase_if(named_, unused) != 0) {
  }
  return {};
}

Result<BlockLease> BlockNodes::take(const std::string& name, const std::string& device) {
  const auto found = named_.find(name);
  if (found == named_.end()) {
    return fail(ErrorKind::NotFound, "Property 'virtio-blk-pci.drive' can't find value '{}'", name);
  }
  const auto& node = found->second;
  if (node.use_count() > 1) return fail(ErrorKind::WrongState, "Node '{}' is in use", name);
  if (!node->image) {
    TRY_ASSIGN(node->image, open_image(*node));
  }
  if (node->image->geometry().size == 0) return fail(ErrorKind::Usage, "Node '{}' is empty, which no disk is", name);
  node->device = device;
  return BlockLease(node.get(), [kept = node](BlockNode*) {
    kept->device.clear();
    if (kept->fd) kept->image.reset();
  });
}

std::vector<const BlockNode*> BlockNodes::list() const {
  std::vector<const BlockNode*> nodes;
  nodes.reserve(named_.size());
  for (const auto& [name, node] : named_) nodes.push_back(node.get());
  return nodes;
}

}  // namespace vireo::vmm
