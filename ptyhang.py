import pty,os,time,signal,sys,fcntl
pid,fd=pty.fork()
if pid==0:
    os.execv('/work/main/dist/waypoint',['waypoint','exec','yes'])
time.sleep(2)
os.kill(pid,signal.SIGTERM); 
for i in range(40):
    time.sleep(0.1)
    p,s=os.waitpid(pid,os.WNOHANG)
    if p: print('ended',i,s); sys.exit()
print('hung', open(f'/proc/{pid}/wchan').read(), open(f'/proc/{pid}/stat').read().split()[13:15]); 
time.sleep(2); print(open(f'/proc/{pid}/stat').read().split()[13:15])
os.kill(pid,9)
