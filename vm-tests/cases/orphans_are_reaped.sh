# Fifty-one grandchildren lose their parent, become init's, end, and not one zombie stays.
#expect ^adopted by 1$
#expect ^zombies: 0$
#refuse ^orphans are still there$
mount -t proc proc /proc
mount -t devtmpfs dev /dev
# $! of a process whose parent, a subshell, is gone by the time that it is looked at.
orphan=$(sleep 2 >/dev/null & echo $!)
echo "adopted by $(awk '/^PPid/ { print $2 }' /proc/$orphan/status)"
i=0
while [ $i -lt 50 ]; do
    (sleep 0.1 &)
    i=$((i + 1))
done
# Until they are gone; the machine's own minute is the deadline.
tries=0
zombies() { cat /proc/[0-9]*/status 2>/dev/null | grep -c '^State:.*Z'; }
while [ "$(zombies)" != 0 ] || [ -d /proc/$orphan ]; do
    tries=$((tries + 1))
    [ $tries -gt 300 ] && { echo "orphans are still there"; break; }
    usleep 50000
done
echo "zombies: $(zombies)"
echo o >/proc/sysrq-trigger
sleep 30
