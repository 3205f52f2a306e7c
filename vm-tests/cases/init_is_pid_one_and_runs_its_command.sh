# The command's parent is init, init is the entrypoint, and the kernel's words reach the command as environment.
#expect ^parent is 1$
#expect ^pid 1 is /init$
#expect ^variable: yes$
#expect ^done$
#refuse ^waypoint-agent$
mount -t proc proc /proc
echo "parent is $PPID"
echo "pid 1 is $(readlink /proc/1/exe)"
echo "variable: $FROM_THE_KERNEL"
cat /proc/[0-9]*/comm
echo done
sync
echo o >/proc/sysrq-trigger
sleep 30
