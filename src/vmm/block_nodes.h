// The disks that a running machine can be given, by name: nodes, as QEMU calls them.
//
// A node is a file that a client has passed (vmm/passed_files.h), or a format above such a node. A format node is open
// and checked from the day it is added; the image above a file is made when a device takes it. A node has one user at a
// time, a device or the node that stands on it; only what is read-only may have several nodes upon it, and no device
// then. A node that is in use is not removed, and one that was added within another goes with that.
//
// Files are locked as those of --disk are. Two nodes may be of one file only if both are read-only: a lock belongs to
// all who have the open file, and with a file that was passed that is more than one.
//
// Threads: the event loop's, on which images are opened as well: a client may keep the loop, though no vCPU, waiting
// for its file system.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/block_options.h"
#include "block/open/open.h"
#include "vmm/disks.h"

namespace vireo::vmm {

struct BlockNode {
  std::string name;  ///< empty: none
  api::BlockOptions::Driver driver = api::BlockOptions::Driver::File;
  std::string filename;  ///< of the file at the bottom, for people
  bool read_only = false;
  bool within_another = false;  ///< it was added so
  block::Cache cache = block::Cache::Writeback;
  std::string serial;  ///< what the guest sees if its device says nothing else

  // Of a file; one that was opened by name has no descriptor here
  host::Fd fd;
  u64 on_device = 0, inode = 0;
  std::shared_ptr<void> lock;  ///< goes with the last node of the file

  // Of a format
  std::shared_ptr<BlockNode> file, backing;
  bool no_backing = false;  ///< it stands on nothing, whatever it says

  std::unique_ptr<block::Image> image;
  std::string device;  ///< who has it
};

/// A disk that a device has, image and all. The node is free again when the last copy is gone.
using BlockLease = std::shared_ptr<BlockNode>;

class BlockNodes {
 public:
  static constexpr std::size_t kMaxNodes = 64;

  /// How a client's files are opened.
  using Open = std::function<Result<host::Fd>(const std::string& name, bool to_write)>;
  /// Before the process restricts itself.
  explicit BlockNodes(Open open) : open_(std::move(open)), threads_(std::make_shared<block::IoThreads>()) {}

  /// One that was opened when the machine was made. WrongState: there is one of that name.
  Result<> add(const std::string& name, OpenDisk disk);
  /// All that is in it or nothing. Errors say what is wrong, in QEMU's words where it has some.
  Result<> add(const api::BlockOptions& options);
  /// NotFound, WrongState.
  Result<> remove(const std::string& name);
  /// NotFound, WrongState, Usage when there is nothing in it; those of opening it.
  Result<BlockLease> take(const std::string& name, const std::string& device);

  /// Those that have names.
  std::vector<const BlockNode*> list() const;

 private:
  using Node = std::shared_ptr<BlockNode>;
  /// What is taken over from the node above.
  struct Above {
    bool read_only = false, direct = false, no_flush = false, within = false;
  };
  Result<Node> make(const api::BlockOptions& options, const Above& above, std::vector<Node>& made) const;
  Result<Node> make_child(const api::BlockOptions::Child& child, const Above& above, std::vector<Node>& made) const;
  Result<> open_file(BlockNode& node, const api::BlockOptions& options, const Above& above,
                     const std::vector<Node>& made) const;
  Result<> check_name(const std::string& name, const std::vector<Node>& made) const;
  Result<std::unique_ptr<block::Image>> open_image(const BlockNode& node) const;

  const Open open_;
  const std::shared_ptr<block::IoThreads> threads_;
  std::map<std::string, Node> named_;
  std::vector<std::weak_ptr<BlockNode>> files_;
};

}  // namespace vireo::vmm
