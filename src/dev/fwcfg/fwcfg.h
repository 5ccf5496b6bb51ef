// What the machine tells its firmware: numbered items and named files, read byte by byte through two ports, or copied
// into guest memory by "DMA", a descriptor in memory whose address is written to a third.
//
// Items are added while the machine is built. One that depends on what the guest has set up by then (ACPI tables name
// addresses that firmware chooses) is made when it is selected; its size must not change.
//
// A DMA operation is done when the write that starts it returns. Descriptors are the guest's: copied once, and every
// address and length in them checked. Nothing is writable: a write, and a read into what is not RAM, end with
// FW_CFG_DMA_CTL_ERROR.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "dev/fwcfg/spec.h"
#include "dev/fwcfg/state.h"
#include "vm/device/device.h"
#include "vm/memory/memory.h"

namespace vireo::dev {

class FwCfg final : public vm::PortDevice, public vm::Stateful {
 public:
  using Make = std::function<std::vector<u8>()>;

  /// `memory` outlives the device.
  explicit FwCfg(vm::GuestMemory& memory);

  // Before vCPUs run.
  void add(u16 key, std::vector<u8> bytes);
  void add(u16 key, u16 value);
  /// Names have at most 55 bytes and are used once; the directory lists them sorted, as firmware expects.
  void add_file(const std::string& name, std::vector<u8> bytes);
  void add_file(const std::string& name, u64 value);
  /// `make` is called from vCPU threads, with the device's lock held.
  void add_file(const std::string& name, u32 size, Make make);

  /// kPorts of them.
  u32 port_read(u16 offset, u8 size) override;
  void port_write(u16 offset, u8 size, u32 value) override;

  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 private:
  struct Item {
    std::vector<u8> bytes;
    Make make = {};
  };
  struct File {
    u16 key = 0;
    u32 size = 0;
  };
  void select(u16 key);
  std::span<const u8> selected();
  u8 read_byte();
  void run_dma(u64 address);
  u32 transfer(u32 control, u32 length, u64 address);
  void update_directory();

  vm::GuestMemory& memory_;
  std::map<u16, Item> items_;
  std::map<std::string, File> files_;
  u16 next_file_ = fwcfg::FW_CFG_FILE_FIRST;
  mutable std::mutex mutex_;
  fwcfg::State s_;
  bool current_ = false;  ///< the selected item's bytes were made since it was selected
};

}  // namespace vireo::dev
