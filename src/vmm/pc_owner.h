// What the owner of a machine's life does to the PC, and to the file it is saved to.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "host/file.h"
#include "host/pagemap.h"
#include "machine/pc/pc.h"
#include "snapshot/file.h"
#include "vm/clock/vm_clock.h"
#include "vmm/boot_files.h"
#include "vmm/life.h"
#include "vmm/notice.h"

namespace vireo::vmm {

class PcOwner final : public Machine {
 public:
  struct Setup {
    machine::Pc& pc;
    vm::VmClock& clock;
    const vm::Stateful& cards;  ///< what devices are in its ports
    BootFiles& files;
    std::string engine;                   ///< its name, for state files
    std::string cpu_model;                ///< the same
    const vm::x86::CpuidTable& features;  ///< what its CPUs have
    host::Place save_place;               ///< empty: nothing is ever saved
    host::Place stats_place;              ///< empty: no statistics are written
    Notices notice;
  };
  explicit PcOwner(Setup setup) : setup_(std::move(setup)) {
    // It does not tell of what others have written into shared memory.
    if (setup_.save_place && !setup_.pc.memory().file()) pagemap_file_ = host::Pagemap::open();
  }
  /// Waits for a save that is still being written.
  ~PcOwner() override;

  /// The files that may be written while the guest runs; one that is not is empty.
  std::array<const host::Place*, 2> places() const { return {&setup_.save_place, &setup_.stats_place}; }

  void set_time(bool runs) override;
  Result<> boot() override;
  void press_power_button() override;
  Result<> save(bool complete) override;
  void finish_save() override;
  void write_stats() override;

 private:
  /// A file that is being written. The rest of it (boot files, end mark) needs no standing guest.
  struct Save {
    explicit Save(host::NewFile file) : sink(std::move(file)) {}
    snapshot::FileSink sink;
    snapshot::Writer writer{sink};
    double seconds = 0;  ///< for which the guest stood still
  };
  Result<> write_rest(Save& save);

  Setup setup_;
  host::Fd pagemap_file_;
  std::unique_ptr<Save> begun_;
  std::thread finisher_;
  std::atomic<bool> finishing_{false};
};

}  // namespace vireo::vmm
