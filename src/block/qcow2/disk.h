// The requests of a qcow2 image: see qcow2.h.
#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>

#include "block/api/in_flight.h"
#include "block/qcow2/epochs.h"
#include "block/qcow2/qcow2.h"

namespace vireo::block::qcow2 {

class Qcow2Disk final : public Qcow2 {
 public:
  Qcow2Disk(const Header& header, Parts parts);
  ~Qcow2Disk() override;
  Result<> start();

  // Disk
  Geometry geometry() const override;
  void submit(Request& request) override;
  void drain() override { in_flight_.drain(); }
  // Image
  std::string_view format() const override { return "qcow2"; }
  Status execute(const Request& request) override;
  Io<Extent> extent_at(u64 offset, u64 length) override;
  Io<> resize(u64 size) override;
  Image* backing() override { return parts_.backing.get(); }
  // Qcow2
  const Header& header() const override { return tables_.header(); }
  Storage& file() override { return *parts_.file; }
  Storage* data_file() override { return parts_.data.get(); }
  Io<> write_compressed(u64 offset, std::span<const u8> bytes) override;
  Result<std::vector<Snapshot>> snapshots() override { return read_snapshots(tables_); }
  Result<> create_snapshot(const std::string& name) override;
  Result<> apply_snapshot(const std::string& id_or_name) override;
  Result<> delete_snapshot(const std::string& id_or_name) override;
  Result<> look_at_snapshot(const std::string& id_or_name) override;
  Result<> set_backing_name(const std::string& name, const std::string& format) override;
  Tables& tables() override { return tables_; }

 private:
  /// A stretch of the disk that is alike, and where its bytes are.
  struct Piece {
    enum class Kind : u8 { Data, Zero, Backing, Compressed };
    Kind kind = Kind::Data;
    bool own = false;
    u64 length = 0;        ///< bytes
    u64 host = 0;          ///< Data: the first byte's place
    Cluster cluster = {};  ///< Compressed
  };
  /// A request on its way in parts.
  struct Parent;
  struct Child;
  /// Clusters of the disk that somebody is about to map anew.
  struct Busy {
    u64 first, last;
  };
  using Writer = std::unique_lock<std::mutex>;

  Status check(const Request& request) const;
  u64 cluster_of(u64 offset) const { return offset >> header().cluster_bits; }
  u64 cluster_size() const { return header().cluster_size(); }
  u32 subclusters_of(u64 cluster, u64 from, u64 to) const;
  /// Without data of its own or the backing image's behind it.
  bool reads_zero(const Cluster& cluster) const;

  template <class Look>
  Io<Piece> piece_at(u64 offset, u64 length, Look look) const;
  Io<Piece> piece_at(u64 offset, u64 length);  // holds the writer's lock

  bool submit_fast(Request& request);
  bool submit_flush(Request& request);
  void launch(Request& request, u64 epoch, std::span<const Piece> pieces);
  void finish(Request& request, Status status);

  Io<> perform(const Request& request);
  Io<> read_bytes(u64 offset, std::span<const iovec> memory, u64 length);
  Io<> read_piece(const Piece& piece, u64 offset, std::span<const iovec> memory);
  Io<> read_compressed(const Piece& piece, u64 offset, std::span<const iovec> memory);
  Io<> read_backing(u64 offset, std::span<const iovec> memory, u64 length);

  /// Returns how many bytes were written, at least one.
  Io<u64> write_some(u64 offset, std::span<const iovec> memory, u64 length);
  struct Allocation;
  Io<> plan(Allocation& allocation, const Cluster& first, u64 length);
  Io<> write_allocated(const Allocation& allocation, std::span<const iovec> memory);
  Io<> link(const Allocation& allocation);
  void take_back(const Allocation& allocation, u64 from);
  Io<> write_zeroes_as_data(u64 offset, u64 length);
  /// Zeroes or discards what is within one cluster; false: it has to be done as data.
  Io<bool> clear_in_cluster(u64 offset, u64 length, bool discard, bool may_unmap);
  Io<> clear(const Request& request);
  Io<> flush_tables();
  Io<> settle_down(Writer& writer);

  Writer lock_writer() { return Writer(writer_); }
  Io<> prepare_change();
  void wait_until_free(Writer& writer, u64 first, u64 last);
  Io<> commit();
  void forget_unpacked();

  Parts parts_;
  const bool read_only_;
  InFlight in_flight_;
  Epochs epochs_;
  std::atomic<bool> dirty_{false};  ///< a flush has tables to write
  std::atomic<u64> size_{0};

  std::mutex writer_;  ///< held by the one that changes tables; guards what follows, but for Mapping::peek
  std::condition_variable freed_;
  std::list<Busy> busy_;
  Tables tables_;

  std::mutex unpacked_mutex_;  ///< guards the cluster that was decompressed last
  u64 unpacked_host_ = 0;
  std::shared_ptr<const std::vector<u8>> unpacked_;
};

}  // namespace vireo::block::qcow2
