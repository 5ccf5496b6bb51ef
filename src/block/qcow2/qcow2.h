// A qcow2 image as a disk (the format: QEMU's docs/interop/qcow2; spec.h has its numbers).
//
//   header      fields and extensions             cluster      what an L2 entry says
//   refcounts   which clusters are in use         mapping      where the disk's clusters are
//   tables      both, and the order of writes     disk         requests
//   snapshots   inside the image                  check        finds and repairs what is wrong
//   create      a new image                       resize, compression
//
// Life: open() reads the header and the first tables; an image that was not closed (dirty) is repaired first. The
// destructor writes everything and marks the image clean; a process that ends without it loses nothing that was
// flushed.
//
// Requests: what is in memory is enough for most: reads, and writes of clusters that are there already, go straight on
// to the storage, many at once. Everything else (tables to read, clusters to allocate, copy, zero, compressed ones) is
// done on worker threads. One at a time changes tables, under a lock that is not held while the disk's data is read or
// written; who waits for the same cluster waits for that cluster alone.
#pragma once

#include <functional>
#include <memory>

#include "block/api/image.h"
#include "block/qcow2/header.h"
#include "block/qcow2/snapshots.h"
#include "block/qcow2/tables.h"

namespace vireo::block::qcow2 {

struct Parts {
  std::unique_ptr<Storage> file;
  std::unique_ptr<Storage> data;   ///< the external data file, if the header wants one
  std::unique_ptr<Image> backing;  ///< read-only, if the header wants one
  /// Runs what blocks; not called before the first submit(). Empty: in the submitting thread.
  std::function<void(std::function<void()>)> run;
  CacheSizes caches = {};
  bool read_only = false;
  bool keep_dirty = false;  ///< open it as it is, to look at: no repair, no change
};

class Qcow2 : public Image {
 public:
  /// Errors: Usage (broken, or what is not supported), Denied (a corrupt image for writing), Failed.
  static Result<std::unique_ptr<Qcow2>> open(const Header& header, Parts parts);

  virtual const Header& header() const = 0;
  virtual Storage& file() = 0;
  virtual Storage* data_file() = 0;
  /// The bytes of one cluster, or of the disk's last part of one, compressed if that makes them smaller.
  virtual Io<> write_compressed(u64 offset, std::span<const u8> bytes) = 0;
  /// Those within; see snapshots.h. Only while no request is under way.
  virtual Result<std::vector<Snapshot>> snapshots() = 0;
  virtual Result<> create_snapshot(const std::string& name) = 0;
  virtual Result<> apply_snapshot(const std::string& id_or_name) = 0;
  virtual Result<> delete_snapshot(const std::string& id_or_name) = 0;
  /// Of an image that is open read-only: shows the snapshot instead of the disk from now on.
  virtual Result<> look_at_snapshot(const std::string& id_or_name) = 0;
  /// In the header; what the image reads from it is the caller's care. Empty: none.
  virtual Result<> set_backing_name(const std::string& name, const std::string& format) = 0;
  /// The tables, for check.h; only while no request is under way.
  virtual Tables& tables() = 0;
};

}  // namespace vireo::block::qcow2
