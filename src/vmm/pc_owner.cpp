#include "vmm/pc_owner.h"

#include "base/log.h"
#include "host/thread.h"
#include "vmm/saved_machine.h"
#include "vmm/stats.h"

namespace vireo::vmm {

PcOwner::~PcOwner() {
  if (finisher_.joinable()) finisher_.join();
}

void PcOwner::set_time(bool runs) {
  if (runs) {
    setup_.clock.resume();
    setup_.pc.resume_devices();
  } else {
    setup_.clock.pause();
    setup_.pc.pause_devices();
  }
}

Result<> PcOwner::boot() {
  if (finisher_.joinable()) finisher_.join();  // it reads the same files
  TRY(setup_.files.provide());
  auto booted = setup_.pc.boot();
  setup_.files.release();
  return booted;
}

void PcOwner::press_power_button() {
  setup_.notice("{}",
                setup_.pc.power_button_enabled()
                    ? "pressed the power button; the next request pulls the plug"
                    : "pressed the power button, but the guest does not listen to it; the next request pulls the plug");
  setup_.pc.press_power_button();
}

Result<> PcOwner::save(bool complete) {
  if (finishing_)
    return fail(ErrorKind::WrongState, "the save before is still being written to {}", setup_.save_place.path());
  TRY(setup_.pc.can_save());
  const u64 began = host::Loop::now_ns();
  TRY_ASSIGN(auto file, host::NewFile::create(setup_.save_place));
  auto save = std::make_unique<Save>(std::move(file));
  auto contents = contents_of(setup_.pc, setup_.clock, setup_.engine, setup_.cpu_model, setup_.features);
  contents.states.push_back(setup_.cards.save());
  TRY(snapshot::save(contents, setup_.pc.memory(), pagemap_file_, save->writer));
  save->seconds = static_cast<double>(host::Loop::now_ns() - began) / 1e9;
  if (complete) return write_rest(*save);
  begun_ = std::move(save);
  return {};
}

Result<> PcOwner::write_rest(Save& save) {
  TRY(setup_.files.provide());
  auto saved = setup_.files.save(save.writer);
  setup_.files.release();
  TRY(saved);
  TRY(save.writer.end());
  TRY(save.sink.commit());
  setup_.notice("saved to {}: {:.1f} MiB; the guest stood still for {:.2f} s", setup_.save_place.path(),
                static_cast<double>(save.sink.size()) / static_cast<double>(kMiB), save.seconds);
  return {};
}

void PcOwner::finish_save() {
  if (!begun_) return;
  if (finisher_.joinable()) finisher_.join();
  finishing_ = true;
  finisher_ = std::thread([this, save = std::shared_ptr<Save>(std::move(begun_))]() mutable {
    host::name_thread("save");
    if (auto done = write_rest(*save); !done) log::error("the machine is not saved: {}", done.error().message);
    save.reset();
    finishing_ = false;
  });
}

void PcOwner::write_stats() {
  if (!setup_.stats_place) return;
  const auto write = [this]() -> Result<> {
    const auto text = stats_as_json({.name = setup_.pc.spec().name,
                                     .engine = setup_.engine,
                                     .guest_ns = setup_.clock.now_ns(),
                                     .vcpus = setup_.pc.vcpus(),
                                     .devices = setup_.pc.device_stats()});
    TRY_ASSIGN(auto file, host::NewFile::create(setup_.stats_place));
    TRY(file.write({reinterpret_cast<const u8*>(text.data()), text.size()}));
    return file.commit(host::NewFile::Durability::Process);
  };
  if (auto written = write(); !written) log::error("no statistics are written: {}", written.error().message);
}

}  // namespace vireo::vmm
