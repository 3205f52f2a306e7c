# A TERM for PID 1 is the command's; without init the kernel would swallow it.
#expect ^the command got TERM$
#refuse ^nothing came$
mount -t proc proc /proc
trap 'echo "the command got TERM"; echo o >/proc/sysrq-trigger; sleep 30' TERM
kill -TERM 1
i=0
while [ $i -lt 200 ]; do
    usleep 50000
    i=$((i + 1))
done
echo "nothing came"
echo o >/proc/sysrq-trigger
sleep 30
