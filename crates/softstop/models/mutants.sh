#!/usr/bin/env bash
# Shows that the models can fail: breaks the files they check, one line at a time, and expects a model to notice.
# Takes some minutes. With an argument, only the mutants whose description contains it.
set -uo pipefail
models=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${MODELS_TARGET:-$models/../../../target/models}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
survived=0

# mutant FILE DESCRIPTION PERL: FILE is relative to crates/softstop, PERL edits its whole text.
mutant() {
    local file=$1 description=$2 edit=$3
    [[ "$file $description" == *"$only"* ]] || return 0
    rm -rf "$work/softstop"
    mkdir "$work/softstop"
    cp -r "$models/../src" "$models" "$work/softstop"
    perl -0pi -e "$edit" "$work/softstop/$file"
    if cmp -s "$work/softstop/$file" "$models/../$file"; then
        echo "NOT MADE  $file: $description"
        survived=$((survived + 1))
        return
    fi
    local output status=0
    output=$(timeout 300 cargo test --quiet --manifest-path "$work/softstop/models/Cargo.toml" --target-dir "$target/mutants" 2>&1) || status=$?
    if ((status == 0)); then
        echo "SURVIVED  $file: $description"
        survived=$((survived + 1))
    elif grep -q '^error' <<<"$output" && ! grep -q 'test result' <<<"$output" && ! grep -q 'running' <<<"$output"; then
        echo "NOT BUILT $file: $description"
        grep -m3 -A6 '^error' <<<"$output"
        survived=$((survived + 1))
    else
        echo "killed    $file: $description"
    fi
}
only=${1:-}

mutant src/bell.rs "a ring does not publish its change" 's/swap\(true, Ordering::Release/swap(true, Ordering::Relaxed/'
mutant src/bell.rs "hearing does not take the change over" 's/swap\(false, Ordering::Acquire/swap(false, Ordering::Relaxed/'
mutant src/bell.rs "hearing only writes" 's/rung\.swap\(false, Ordering::Acquire\)/rung.store(false, Ordering::Release)/'
mutant src/bell.rs "every ring is a message" 's/!self\.rung\.swap\(true, Ordering::Release\)/{ self.rung.swap(true, Ordering::Release); true }/'
mutant src/bell.rs "rings when nobody answers" 's/self\.watched\.load\(Ordering::Relaxed\) && //'
mutant models/bells.rs "the look comes before the hearing" 's/(bell\.heard\(\);)(.*?)if left\.load\(Relaxed\) == 0/let seen = left.load(Relaxed); $1$2if seen == 0/s'

mutant src/stage.rs "the phase is stored relaxed" 's/store\(phase as u8, Ordering::Release/store(phase as u8, Ordering::Relaxed/'
mutant src/stage.rs "the phase is loaded relaxed" 's/phase\.load\(Ordering::Acquire/phase.load(Ordering::Relaxed/'
mutant src/stage.rs "the last first poll does not meet the look" 's/fetch_sub\(1, Ordering::Acquire/fetch_sub(1, Ordering::Relaxed/'
mutant src/stage.rs "the look does not meet the last first poll" 's/fetch_add\(0, Ordering::Release/fetch_add(0, Ordering::Relaxed/'
mutant src/stage.rs "the look only reads" 's/fetch_add\(0, Ordering::Release\)/load(Ordering::Acquire)/'
mutant src/stage.rs "the phase is looked at before the task is counted out" 's/self\.unpolled\.fetch_sub\(1, Ordering::Acquire\) == 1 && self\.phase\(\) >= Phase::Draining/{ let told = self.phase() >= Phase::Draining; self.unpolled.fetch_sub(1, Ordering::Acquire) == 1 && told }/'
mutant src/stage.rs "nobody is told of the last first poll" 's/fetch_sub\(1, Ordering::Acquire\) == 1 &&/fetch_sub(1, Ordering::Acquire) == 0 \&\&/'
mutant src/stage.rs "a task without its first poll does not count" 's/self\.unpolled\.fetch_add\(0, Ordering::Release\)/0/'
mutant models/inner.rs "those without a first poll are looked at before the lock is taken" 's/let local = lock\(&self\.local\);\s*local\.drainers \+ self\.stage\.unpolled\(\)/let unpolled = self.stage.unpolled(); unpolled + lock(\&self.local).drainers/'
mutant models/inner.rs "those without a first poll are looked at after the lock" 's/let local = lock\(&self\.local\);\s*local\.drainers \+ self\.stage\.unpolled\(\)/let drainers = lock(\&self.local).drainers; drainers + self.stage.unpolled()/'
mutant models/inner.rs "the bell is heard after the look" 's/self\.bell\.heard\(\);(\s*)let local = lock\(&self\.local\);\s*local\.drainers \+ self\.stage\.unpolled\(\)/let seen = { let local = lock(\&self.local); local.drainers + self.stage.unpolled() }; self.bell.heard(); seen/'
mutant models/inner.rs "nobody watches the bell" 's/self\.bell\.watch\(\);//'
mutant models/inner.rs "who waits is woken before the phase is reached" 's/(pub\(crate\) fn advance\(&self, phase: Phase\) \{)(.*?)self\.told\.notify_waiters\(\);/$1 self.told.notify_waiters();$2/s'

mutant src/place.rs "the scope is entered relaxed" 's/scope\.store\(entry\.scope, Ordering::Release/scope.store(entry.scope, Ordering::Relaxed/'
mutant src/place.rs "the task is entered relaxed" 's/task\.store\(entry\.task, Ordering::Release/task.store(entry.task, Ordering::Relaxed/'
mutant src/place.rs "the time is entered relaxed" 's/since\.store\(entry\.since, Ordering::Release/since.store(entry.since, Ordering::Relaxed/'
mutant src/place.rs "the time is entered first" 's/(\s*self\.since\.store\(entry\.since, Ordering::Release\);)\s*\}/\n }/; s/(pub\(crate\) fn enter\(&self, entry: Entry\) \{)/$1 self.since.store(entry.since, Ordering::Release);/'
mutant src/place.rs "a change is written relaxed" 's/(Ordering::Relaxed\)\), Ordering::)Release/$1Relaxed/'
mutant src/place.rs "the time is not taken back" 's/self\.since\.store\(0, Ordering::Relaxed\);//'
mutant src/place.rs "the time is read relaxed" 's/let since = self\.since\.load\(Ordering::Acquire/let since = self.since.load(Ordering::Relaxed/'
mutant src/place.rs "the scope is read relaxed" 's/self\.scope\.load\(Ordering::Acquire/self.scope.load(Ordering::Relaxed/'
mutant src/place.rs "the task is read relaxed" 's/self\.task\.load\(Ordering::Acquire/self.task.load(Ordering::Relaxed/'
mutant src/place.rs "the time is looked at once" 's/self\.since\.load\(Ordering::Relaxed\) == since/true/'

mutant src/alarm.rs "the setter does not meet the keeper" 's/fetch_add\(0, Ordering::Release/fetch_add(0, Ordering::Relaxed/'
mutant src/alarm.rs "the setter only reads" 's/fetch_add\(0, Ordering::Release\)/load(Ordering::Acquire)/'
mutant src/alarm.rs "the keeper does not meet the setter" 's/swap\(at, Ordering::Acquire/swap(at, Ordering::Relaxed/'
mutant src/alarm.rs "the keeper only writes" 's/self\.looks\.swap\(at, Ordering::Acquire\);/self.looks.store(at, Ordering::Release);/'
mutant src/alarm.rs "the keeper is looked for before the alarm is stored" 's/self\.due\.store\(due, Ordering::Relaxed\);\s*self\.is_late_for\(due\)/let late = self.is_late_for(due); self.due.store(due, Ordering::Relaxed); late/'
mutant src/alarm.rs "the keeper is woken for a later alarm" 's/at < self\.looks/at <= self.looks/'
mutant models/alarms.rs "the keeper does not look again at the alarm" 's/if \(self\.alarm\.due\(\), self\.deadline/if (due, self.deadline/'
mutant models/alarms.rs "the keeper does not look again at the deadline" 's/if \(self\.alarm\.due\(\), self\.deadline\.load\(Acquire\)\)/if (self.alarm.due(), deadline)/'

mutant src/wait.rs "who waits queues up after the look" 's/(let reached = this\.inner\.phase\(\) >= phase;)/$1 if !*this.queued { this.notified.set(unconstrained(this.inner.notified())); }/'
mutant src/wait.rs "who was woken for another phase does not queue up again" 's/if reached \|\| !woken \{/if reached || !woken || woken {/'
mutant src/wait.rs "the look at the phase comes after the one at the future" 's/let told = inner\.phase\(\) >= Phase::Draining;(.*?)(ready!\(this\.signal\.as_mut)/$1 let told = inner.phase() >= Phase::Draining; $2/s'
mutant src/wait.rs "who is told while the future is pending does not look again" 's/if told \{/if true {/'
mutant src/wait.rs "who is told does not look at the future" 's/(let told = inner\.phase\(\) >= Phase::Draining;)/$1 if told { return Poll::Ready(None); }/'

((survived == 0)) || { echo "$survived not killed"; exit 1; }
