"""QT-Opt (Kalashnikov et al. 2018): a sigmoid Q-function maximised by CEM."""
